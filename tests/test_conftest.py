"""What CI makes of tests that skip because the machine is busy."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = (Path(__file__).parent / "conftest.py").read_text()


@pytest.mark.parametrize(("skips", "ci", "fails"), [(2, "true", False), (3, "true", True), (3, "", False)])
def test_many_busy_skips_fail_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, skips: int, ci: str, fails: bool
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(f"""
        import pytest
        @pytest.mark.parametrize("n", range({skips}))
        def test_skips(n): pytest.skip("this machine is busy")
        def test_skips_too(): pytest.skip("something is not installed")
        def test_passes(): pass
    """)
    monkeypatch.setenv("CI", ci)
    assert pytester.runpytest_subprocess().ret == int(fails)

"""``--cluster`` as it is written, and what is refused with one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from speakerlight.cluster.cluster_settings import LocalCluster, RayCluster, parse_cluster
from speakerlight.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("local:3", LocalCluster(3)),
        ("auto", RayCluster(None)),
        ("10.0.0.7:6379", RayCluster("10.0.0.7:6379")),
        ("ray://head.example:10001", RayCluster("ray://head.example:10001")),
        ("[::1]:6379", RayCluster("[::1]:6379")),
    ],
)
def test_what_may_be_written(text: str, settings: LocalCluster | RayCluster) -> None:
    assert parse_cluster(text) == settings


def test_local_without_a_number_goes_by_the_cores() -> None:
    settings = parse_cluster("local")
    assert isinstance(settings, LocalCluster) and settings.hosts >= 1


@pytest.mark.parametrize(
    "text", ["", "local:", "local:0", "local:x", "head", "http://head:1", "ray://", "a:b", "auto:2"]
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--cluster"):
        parse_cluster(text)


def test_without_ray_there_is_one_clear_line() -> None:
    code = "import sys; sys.modules['ray'] = None\n"
    code += "from speakerlight import command_line\n"
    code += "sys.exit(command_line.main(['--serve', '0', '--cluster', 'auto']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and "pip install '.[cluster]'" in done.stderr, done.stderr

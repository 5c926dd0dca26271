"""Allowances: so many at once, so many in the long run, to each of those who asked last."""

from __future__ import annotations

from speakerlight.server.rate_limit import REMEMBERED_CLIENTS, RateLimiter, RateLimiters


def test_so_many_at_once_and_so_many_in_the_long_run() -> None:
    allowance = RateLimiter(burst=3, per_second=2.0)
    assert [allowance.take(10.0) for _ in range(5)] == [True, True, True, False, False]
    assert [allowance.take(11.0) for _ in range(3)] == [True, True, False]
    assert [allowance.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_buckets_has_an_allowance_of_its_own() -> None:
    allowances = RateLimiters(burst=1, per_second=0.0)
    assert allowances.take("one", 0.0) and allowances.take("two", 0.0)
    assert not allowances.take("one", 1.0)


def test_they_do_not_grow_without_end() -> None:
    allowances = RateLimiters(burst=1, per_second=0.0)
    for number in range(10 * REMEMBERED_CLIENTS):
        allowances.take(str(number), 0.0)
    assert len(allowances._buckets) == REMEMBERED_CLIENTS
    assert not allowances.take(str(10 * REMEMBERED_CLIENTS - 1), 0.0)

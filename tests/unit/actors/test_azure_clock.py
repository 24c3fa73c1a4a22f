"""What time it is for Azure, and how far off ours is."""

import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from nfsw.actors.azure_clock import AzureClock
from tests.support.faketime import FakeClock

NOON = 1_769_860_800.0


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeClock]:
    """The monotonic clock; the time of day is noon when it begins, and goes with it."""
    with FakeClock() as clock:
        monkeypatch.setattr(time, "time", lambda: NOON + clock.passed)
        yield clock


def date(at: float) -> str:
    return formatdate(at, usegmt=True)


def test_before_azure_has_said_anything_nothing_is_off() -> None:
    assert AzureClock().ahead_s() == 0.0


@pytest.mark.parametrize("ahead_s", [0, 1, -1, 86_400, -31_536_000])
def test_the_difference_is_that_of_the_times(ours: FakeClock, ahead_s: int) -> None:
    clock = AzureClock()
    clock.hear(date(NOON - ahead_s))
    ours.advance(1000)
    assert clock.ahead_s() == pytest.approx(ahead_s)


def test_a_clock_that_is_set_right_is_right_without_another_answer(ours: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = AzureClock()
    clock.hear(date(NOON + 86_400))
    ours.advance(10)
    monkeypatch.setattr(time, "time", lambda: NOON + 86_400 + ours.passed)
    assert clock.ahead_s() == pytest.approx(0)


def test_news_is_told_once_and_noise_is_none(ours: FakeClock) -> None:
    clock, news = AzureClock(), list[tuple[float, float]]()
    clock.on_news = lambda azure, at: news.append((azure, at))
    for second in range(0, 600, 10):
        clock.hear(date(NOON + second - second % 3))  # late by up to two seconds
        ours.advance(10)
    assert [azure for azure, _ in news] == [NOON]
    clock.hear(date(NOON + 4000))
    assert len(news) == 2
    assert news[1][1] == time.monotonic()


def test_answers_in_quick_succession_are_not_all_read(ours: FakeClock) -> None:
    clock, news = AzureClock(), list[float]()
    clock.on_news = lambda azure, _: news.append(azure)
    clock.hear(date(NOON))
    clock.hear(date(NOON + 500))
    assert news == [NOON]


@pytest.mark.parametrize("wrong", [None, "", "yesterday", "Fri, 99 Foo 2026 99:99:99 GMT"])
def test_a_date_that_is_none_is_left_alone(wrong: str | None) -> None:
    clock = AzureClock()
    clock.hear(wrong)
    assert clock.ahead_s() == 0.0

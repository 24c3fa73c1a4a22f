"""How many deaths are too many. The times are plain numbers: nothing here has a clock."""

import pytest

from nfsw.supervisor.intensity import RestartIntensity


def test_up_to_the_limit_a_restart_is_allowed_and_one_more_is_not() -> None:
    intensity = RestartIntensity(restarts=3, period_s=60.0)
    assert [intensity.allows(now) for now in (0.0, 0.1, 0.2, 0.3)] == [True, True, True, False]


def test_deaths_that_lie_further_back_than_the_period_do_not_count() -> None:
    intensity = RestartIntensity(restarts=2, period_s=60.0)
    assert all(intensity.allows(now) for now in (0.0, 30.0, 61.0, 91.0, 122.0))


def test_one_death_a_period_is_allowed_for_ever() -> None:
    intensity = RestartIntensity(restarts=1, period_s=10.0)
    assert all(intensity.allows(now * 10.1) for now in range(1000))


@pytest.mark.parametrize(("later", "allowed"), [(59.9, False), (60.0, False), (60.1, True)])
def test_a_death_counts_until_the_period_is_over(later: float, allowed: bool) -> None:
    intensity = RestartIntensity(restarts=1, period_s=60.0)
    assert intensity.allows(100.0)
    assert intensity.allows(100.0 + later) is allowed


def test_by_default_the_sixth_death_within_a_minute_is_one_too_many() -> None:
    intensity = RestartIntensity()
    assert [intensity.allows(float(now)) for now in range(6)] == [True] * 5 + [False]


def test_what_was_not_allowed_counts_too() -> None:
    intensity = RestartIntensity(restarts=1, period_s=10.0)
    assert [intensity.allows(now) for now in (0.0, 9.0, 18.0, 27.0)] == [True, False, False, False]

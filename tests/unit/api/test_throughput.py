"""How fast bytes went out: samples over a bounded time."""

from nfsw.api.throughput import SAMPLES, STEP_S, History, Throughput


def test_before_the_second_sample_nothing_is_known() -> None:
    throughput = Throughput()
    throughput.note(1000, 50.0)
    assert throughput.history() == History(STEP_S, ())


def test_a_rate_is_what_was_sent_over_the_time_that_really_passed() -> None:
    throughput = Throughput()
    for sent, now in ((1000, 50.0), (6000, 55.0), (6000, 60.0), (26000, 70.0)):
        throughput.note(sent, now)
    assert throughput.history().bytes_per_s == (1000, 0, 2000)


def test_two_samples_at_one_time_are_one() -> None:
    throughput = Throughput()
    for sent in (0, 1000, 2000):
        throughput.note(sent, 50.0)
    throughput.note(3000, 51.0)
    assert throughput.history().bytes_per_s == (3000,)


def test_the_history_is_bounded_and_keeps_the_newest() -> None:
    throughput = Throughput()
    for second in range(2 * SAMPLES):
        throughput.note(second * second, float(second))
    rates = throughput.history().bytes_per_s
    assert len(rates) == SAMPLES
    assert rates[-1] == 2 * (2 * SAMPLES - 1) - 1

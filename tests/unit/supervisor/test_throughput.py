"""The throughput of the last minutes, sampled over a bounded time, and the rate that forecasts go by."""

from nfsw.supervisor.throughput import SAMPLES, STEP_S, Throughput, ThroughputHistory


def sampled(*sent: int) -> Throughput:
    """So many bytes in all had gone out at each step."""
    throughput = Throughput()
    for step, total in enumerate(sent):
        throughput.note(total, 50.0 + step * STEP_S)
    return throughput


def test_before_the_second_sample_nothing_is_known() -> None:
    throughput = Throughput()
    throughput.note(1000, 50.0)
    assert throughput.history() == ThroughputHistory(STEP_S, ())


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


def test_the_rate_is_not_known_before_the_second_sample() -> None:
    assert sampled(0).rate() is None
    assert sampled(0, 500).rate() == 100


def test_the_time_before_anything_was_sent_does_not_slow_the_rate_down() -> None:
    assert sampled(0, 0, 0, 500, 1500).rate() == 150


def test_the_time_since_then_does() -> None:
    assert sampled(0, 500, 500).rate() == 50
    assert sampled(0, 500, *[500] * 24).rate() == 0, "nothing for two minutes"

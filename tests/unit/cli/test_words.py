"""Numbers and names as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.client.words import percent, safe, size, span


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (102_400, "100 KiB"), (10 * 2**30, "10.0 GiB"), (2**70, "1048576 PiB")],
)
def test_sizes_have_binary_units_and_three_digits(count: int, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (3600, "1 h 00 min"), (90_000, "1 d 1 h")],
)
def test_spans_have_their_two_largest_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(("done", "of", "words"), [(0, 10, "0%"), (999, 1000, "99%"), (1000, 1000, "100%"), (0, 0, "100%")])
def test_a_hundred_per_cent_is_all_of_it(done: int, of: int, words: str) -> None:
    assert percent(done, of) == words


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_whatever_a_name_holds_it_is_one_harmless_line(name: str) -> None:
    shown = safe(name)
    assert shown.isprintable()
    assert safe(shown) == shown
    shown.encode()


def test_a_plain_name_stays_as_it_is() -> None:
    assert safe("Überlänge 100% #1?.bin") == "Überlänge 100% #1?.bin"

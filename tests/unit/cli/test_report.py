"""What `nfsw status` prints: its lines, and numbers and names as people read them."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.stability import Rule
from nfsw.client import REFUSED_LISTED, backlog_line, counts, disk_line, report, safe, session_line
from nfsw.supervisor.status import Backlog, Disk, RefusedFile, SessionState, Stability
from nfsw.units import percent, size, span
from tests.support.memory_service import ACTIVE, BUSY, HUNG, IDLE, NOON


def test_an_idle_service_says_so() -> None:
    lines = list(report(IDLE))
    assert "session   none is active" in lines
    assert lines[0].startswith("health    Waiting since 2026-01-31 ")
    assert lines[0].endswith(": No session is active in this pod.")
    assert "backlog   nothing waits" in lines
    assert "export    not measured yet" in lines
    assert not any("in flight" in line or line == "refused" for line in lines)


def test_how_long_the_backlog_takes_and_when_the_export_is_full_is_there() -> None:
    lines = list(report(BUSY))
    assert lines[0] == "health    OK: 8 files are on the way to Azure."
    assert "backlog   1234 files, 1.3 TiB to send; gone in 3 h 17 min at 113 MiB/s" in lines
    assert "export    412 GiB of 2.0 TiB free; full in 13 h 39 min at this rate" in lines
    assert "staging   31.0 GiB of 90.0 GiB; its disk: 79.0 GiB of 110 GiB free; not filling" in lines


@pytest.mark.parametrize(
    ("backlog", "line"),
    [
        (Backlog(1, 100, NOON, None, None), "1 file, 100 B to send; the rate is not known yet"),
        (Backlog(2, 100, NOON, 0.0, None), "2 files, 100 B to send; never at this rate: nothing leaves"),
        (Backlog(2, 0, NOON, None, 0.0), "2 files, 0 B to send; gone in 0 s"),
        (Backlog(2, 9, NOON, 3.0, 3.0, 4), "2 files, 9 B to send; gone in 3 s at 3 B/s, limited to 4 B/s"),
        (Backlog(2, 9, None, 3.0, 3.0), "2 files, 9 B to send, without incoming, which has not been counted yet; gone in 3 s at 3 B/s"),
        (Backlog(0, 0, None, None, 0.0), "nothing waits, without incoming, which has not been counted yet"),
    ],
)
def test_what_is_not_known_of_the_backlog_is_said(backlog: Backlog, line: str) -> None:
    assert backlog_line(dataclasses.replace(ACTIVE, backlog=backlog)) == line


def test_a_disk_whose_trend_is_not_known_says_so() -> None:
    assert disk_line(Disk(100, 50, NOON, None, None)) == "50 B of 100 B free; its trend is not known yet"


def test_each_file_has_a_line_with_its_progress_and_one_with_its_trouble() -> None:
    lines = list(report(BUSY))
    assert "  uploading   10% of 10.0 GiB     113 MiB/s  1 min 22 s left  camera-left_20260131T115900.mp4" in lines
    trouble = next(place for place, line in enumerate(lines) if line.endswith("radar sweep.bin"))
    assert "next attempt" in lines[trouble]
    assert "attempt 4: 503 ServerBusy" in lines[trouble + 1]


def test_what_the_service_waits_for_and_who_hangs_is_there() -> None:
    lines = list(report(HUNG))
    assert "waiting   a file of 3.0 GiB waits for room in staging" in lines
    assert "  scanner    hung, in scandir incoming/s1 for 42 s, 1 restart, pid 13" in lines


def test_by_which_rule_files_are_taken_is_there() -> None:
    assert "taken     when nobody has them open for writing: leases are granted (nfs4)" in list(report(IDLE))
    by_time = dataclasses.replace(IDLE, stability=Stability(Rule.TIME, "no leases here"))
    assert "taken     when they have been quiet for long enough, open or not: no leases here" in list(report(by_time))
    assert not any(line.startswith("taken") for line in report(dataclasses.replace(IDLE, stability=None)))


def test_hostile_names_stay_in_their_line() -> None:
    assert all(line.isprintable() for line in report(BUSY))


def test_many_refused_files_are_cut_short_and_counted() -> None:
    refused = tuple(RefusedFile(f"{number}.completed", "s1", "no") for number in range(50))
    status = dataclasses.replace(BUSY, refused=refused, files=dataclasses.replace(BUSY.files, refused=50))
    lines = list(report(status))
    assert sum(line.endswith(": no") for line in lines) == REFUSED_LISTED
    assert "  and 30 more" in lines


def test_files_in_flight_that_the_status_does_not_list_are_counted() -> None:
    status = dataclasses.replace(BUSY, files=dataclasses.replace(BUSY.files, uploading=2004))
    assert "  and 2000 more" in list(report(status))


def test_a_session_line_has_name_and_state() -> None:
    assert session_line(IDLE) == "no session is active"
    assert session_line(ACTIVE).startswith("session s1, active since 2026-01-31 ")
    assert ACTIVE.session is not None
    draining = dataclasses.replace(ACTIVE.session, state=SessionState.DRAINING, resumed=True)
    line = session_line(dataclasses.replace(ACTIVE, session=draining))
    assert line.startswith("session s1, draining since")
    assert line.endswith(", resumed")


def test_hidden_files_are_counted_where_there_are_any() -> None:
    assert counts(BUSY.files).endswith("2 refused, 5 hidden")
    assert counts(IDLE.files).endswith("0 refused")


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

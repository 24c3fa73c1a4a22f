"""NFS answers with errors, at every call: one file's trouble is told, tried again, and nobody else's."""

import errno
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.faults.telling import SETTINGS, SIZE, name_of, reasons, what_is_logged
from tests.support.content import some_bytes
from tests.support.figures import Figure
from tests.support.fuse import Fault, FaultyFileSystem
from tests.support.proxy import FaultProxy
from tests.support.site import Site
from tests.support.waiting import until

ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO, errno.ESTALE)
#: What the service does to a file on NFS, from first to last: the call, and the path at which it meets the file.
CALLS = {
    "look": ("getattr", "incoming/s/{}"),
    "claim": ("link", "incoming/s/{}"),
    "aside": ("rename", "incoming/s/{}"),
    "unlink": ("unlink", ".nfsw/aside/s/*/{}"),
    "open": ("open", ".processing/*/s/{}"),
    "read": ("read", ".processing/*/s/{}"),
    "mark": ("rename", ".processing/*/s/{}"),
    "delete": ("unlink", ".processing/*/s/{}.completed"),
}
#: Log lines that one failing file may cost in the seconds that the test lasts: its pauses grow, and each attempt has a line or two.
MOST_LINES = 20


@pytest.mark.parametrize("steps", [["claim", "aside", "open", "read", "mark"], ["unlink"], ["delete"]], ids=" ".join)
def test_every_error_at_every_call_is_told_tried_again_and_holds_up_nobody(
    shaky: Site, disk: FaultyFileSystem, steps: list[str], figure: Figure
) -> None:
    """All at once, a file for each. What is gone (ESTALE) is looked for again and needs no words."""
    service = shaky.serve(**SETTINGS)
    service.start_session("s")
    cases = {f"{step}-{name_of(error)}.bin": (step, error) for step in steps for error in ERRORS}
    worded = {name for name, (_, error) in cases.items() if error != errno.ESTALE}
    told: set[str] = set()  # between its pause and its next error a file has nothing to tell

    def all_seen(faults: dict[str, Fault]) -> bool:
        told.update(name for name, reason in reasons(service).items() if name in cases and name_of(cases[name][1]) in reason)
        return told >= worded and all(fault.hits() >= 2 for fault in faults.values())

    with failing_each(shaky, disk, cases) as faults:
        begun = time.monotonic()
        until(
            lambda: all_seen(faults),
            within=60,
            what=lambda: (
                f"each is tried twice, {[fault.hits() for fault in faults.values()]}, and told; not {worded - told}\n{service.report()}"
            ),
        )
        figure("seconds until each of the failing files had been tried twice", (len(cases), round(time.monotonic() - begun, 1)))
        good_files_arrive(shaky, figure)
        unlogged = [name for name in worded if not what_is_logged(service, name, cases[name][1])]
        assert not unlogged, unlogged
        assert service.call("GET", "/healthz").status == 200
        lines = [line for line in service.log() if line["level"] in ("WARNING", "ERROR")]
        figure("lines logged for each failing file", round(len(lines) / len(cases), 1))
        assert len(lines) < MOST_LINES * len(cases), service.report()
        most = max(faults, key=lambda name: faults[name].hits())
        figure("most calls that met one rule", (most, faults[most].hits()))
    over = time.monotonic()
    shaky.all_arrived(within=60)
    figure("seconds from the end of the errors until all were in Azure", round(time.monotonic() - over, 1))


def test_files_that_cannot_be_looked_at_are_told_and_hold_up_nobody(shaky: Site, disk: FaultyFileSystem, figure: Figure) -> None:
    """A scan has one trouble to tell, however many files it met it at."""
    service = shaky.serve(**SETTINGS)
    service.start_session("s")
    cases = {f"look-{name_of(error)}.bin": ("look", error) for error in ERRORS}
    with failing_each(shaky, disk, cases) as faults:
        until(lambda: all(fault.hits() >= 2 for fault in faults.values()), within=30, what="each is looked at again")
        good_files_arrive(shaky, figure)
        told = " ".join(service.status()["waiting_for"])
        figure("the status waits for", told)
        assert any(name in told and name_of(error) in told for name, (_, error) in cases.items()), told
        assert any(name in line["message"] for name in cases for line in service.log()), service.report()
        assert service.call("GET", "/healthz").status == 200
    shaky.all_arrived(within=30)


@contextmanager
def failing_each(
    shaky: Site, disk: FaultyFileSystem, cases: dict[str, tuple[str, int]], *, done: bool = False, times: int | None = None
) -> Iterator[dict[str, Fault]]:
    """A file for each case, and its fault in force. `cases`: step and error by file."""
    with ExitStack() as rules:
        faults: dict[str, Fault] = {}
        for number, (name, (step, error)) in enumerate(cases.items()):
            call, path = CALLS[step]
            faults[name] = rules.enter_context(disk.failing(error, call, path=path.format(name), done=done, times=times))
            shaky.write("s", name, some_bytes(number, SIZE))
        yield faults


def good_files_arrive(shaky: Site, figure: Figure) -> None:
    begun = time.monotonic()
    for number in range(10):
        shaky.write("s", f"good-{number}.bin", some_bytes(number, SIZE))
    for number in range(10):
        shaky.has_arrived("s", f"good-{number}.bin", within=30)
    figure("seconds until ten good files had arrived meanwhile", round(time.monotonic() - begun, 1))


def test_calls_that_were_carried_out_though_they_answer_an_error_lose_nothing(
    shaky: Site, disk: FaultyFileSystem, proxy: FaultProxy
) -> None:
    """As after a restart of the server, when a request is sent again that had been carried out. All at once, a file for each."""
    shaky.serve(**SETTINGS).start_session("s")
    steps = ("claim", "aside", "unlink", "mark", "delete")
    cases = {f"{step}-{name_of(error)}.bin": (step, error) for step in steps for error in (errno.ENOENT, errno.EIO)}
    with failing_each(shaky, disk, cases, done=True, times=1) as faults:
        until(lambda: all(fault.hits() for fault in faults.values()), within=60, what=lambda: f"each call is met\n{shaky.report()}")
        shaky.all_arrived(within=60)
    assert list(proxy.commits().values()) == [1] * len(cases)


def test_a_folder_that_cannot_be_listed_is_told_and_listed_later(shaky: Site, disk: FaultyFileSystem) -> None:
    service = shaky.serve(**SETTINGS)
    service.start_session("s")
    for error in (errno.EACCES, errno.EIO, errno.ESTALE):
        with disk.failing(error, "readdir", "opendir", path="incoming/s") as fault:
            shaky.write("s", f"{name_of(error)}.bin", some_bytes(error, SIZE))
            until(lambda: fault.hits() >= 3, within=20, what="it is tried again")
            if error != errno.ESTALE:
                assert any(name_of(error) in line["message"] for line in service.log()), service.report()
            assert service.call("GET", "/healthz").status == 200
        shaky.all_arrived(within=30)


def test_a_session_that_cannot_be_recorded_is_refused_in_words_and_starts_later(shaky: Site, disk: FaultyFileSystem) -> None:
    service = shaky.serve(**SETTINGS)
    for call in ("create", "mkdir", "write", "flock"):
        with disk.failing(errno.EROFS, call) as fault:
            answer = service.call("POST", "/v1/watch/start", {"session": f"s-{call}"})
            assert fault.hits(), call
            assert answer.status == 503, answer
            assert name_of(errno.EROFS) in answer.detail
            assert service.status()["session"] is None
    service.start_session("s")
    shaky.write("s", "a.bin", b"a")
    shaky.all_arrived()

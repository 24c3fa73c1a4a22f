"""What the supervisor relies on when the server is away: how a hung call looks from outside, and what ends it."""

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.nfs.conftest import Place
from tests.support import uml_server
from tests.support.children import Child, NotSaid, child
from tests.support.figures import Figure
from tests.support.waiting import until

_HOLD = """
import sys
file = open(sys.argv[1], sys.argv[2], buffering=0)
file.read(1)
print("open")
sys.stdin.readline()
"""

type Outage = Callable[[], AbstractContextManager[None]]

#: Each makes one call, after a line on stdin, and prints what came of it.
_BEGIN = "import os, sys, time\nplace = sys.argv[1]\nprint('ready')\nsys.stdin.readline()\n"
CALLS = {
    "scandir": "print(len(os.listdir(place)))",
    "stat": "os.stat(place + '/unseen'); print('done')",
    "open": "os.close(os.open(place + '/file', os.O_RDONLY)); print('done')",
    "link": "os.link(place + '/file', place + '/second'); print('done')",
    "rename": "os.rename(place + '/file', place + '/renamed'); print('done')",
    "unlink": "os.unlink(place + '/file'); print('done')",
    "mkdir": "os.mkdir(place + '/folder'); print('done')",
    "rmdir": "os.rmdir(place + '/empty'); print('done')",
    "read": "os.read(file, 1 << 20); print('done')",
}
_OPEN_FIRST = "import os, sys\nfile = os.open(sys.argv[1] + '/file', os.O_RDONLY)\n"

OUTAGES = [pytest.param(uml_server.stopped, id="server-stopped"), pytest.param(uml_server.unreachable, id="wire-cut")]


@pytest.fixture
def filled(place: Place) -> Place:
    (place.export / "file").write_bytes(bytes(1000))
    (place.export / "unseen").write_bytes(b"")
    (place.export / "empty").mkdir()
    return place


def _about_to(call: str, place: Place) -> AbstractContextManager[Child]:
    first = _OPEN_FIRST if call == "read" else ""
    return child(first + _BEGIN + CALLS[call], place.mount)


def test_every_call_hangs_killably_while_the_server_is_away(filled: Place, figure: Figure) -> None:
    with contextlib.ExitStack() as children:
        callers = {call: children.enter_context(_about_to(call, filled)) for call in CALLS}
        for caller in callers.values():
            assert caller.says() == "ready"
        with uml_server.stopped():
            for caller in callers.values():
                caller.tell("go")
            for call, caller in callers.items():
                until(lambda caller=caller: caller.state() == "D", within=5, what=f"{call} hangs")  # type: ignore[misc]
            with pytest.raises(NotSaid):
                callers["stat"].says(0.5)
            figure("hung calls wait in", {call: caller.waits_in() for call, caller in callers.items()})
            for caller in callers.values():
                caller.kill()
            # "read" too, though it has the file open: the read in flight holds the file, and closes it when nobody waits.
            reaped = {call: caller.gone_within(5) for call, caller in callers.items()}
            assert None not in reaped.values(), reaped
            figure("the slowest was reaped, in seconds after SIGKILL", round(max(filter(None, reaped.values())), 3))


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_hung_call_goes_on_by_itself_when_the_server_is_back(filled: Place, outage: Outage, figure: Figure) -> None:
    with _about_to("scandir", filled) as caller:
        assert caller.says() == "ready"
        with outage():
            caller.tell("go")
            with pytest.raises(NotSaid):
                caller.says(4)
            assert caller.state() == "D"
        back = time.monotonic()
        assert caller.says(60) == "3"
        figure("seconds from the return until a call that hung for 4 s goes on", round(time.monotonic() - back, 2))


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_idle_client_is_served_again_after_the_return(filled: Place, outage: Outage, figure: Figure) -> None:
    with outage():
        pass
    back = time.monotonic()
    (filled.mount / "new").mkdir()
    figure("seconds from the return until a new call is answered", round(time.monotonic() - back, 2))


@pytest.mark.parametrize("mode", ["rb", "r+b"])
def test_a_file_left_open_keeps_its_killed_process_in_the_kernel_until_the_server_is_back(filled: Place, mode: str, figure: Figure) -> None:
    """Closing at exit waits for the server, and nothing interrupts a process that is exiting. An open folder needs no close."""
    with child(_HOLD, filled.mount / "file", mode) as holder:
        assert holder.says() == "open"
        with uml_server.stopped():
            holder.kill()
            assert holder.gone_within(2) is None
            assert holder.state() == "D"
            assert "nfs4_close_sync" in Path(f"/proc/{holder.pid}/stack").read_text()
        reaped = holder.gone_within(30)
        assert reaped is not None
        figure(f"seconds from the return until a process killed with a file open ({mode}) is reaped", round(reaped, 2))

"""How a child process starts: from which code, in which folder, how early it shows that it lives, and when there can be none."""

import asyncio
import errno
import os
import resource
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

import nfsw
from nfsw import run_module
from nfsw.actors.config import Boot
from nfsw.actors.envelope import Started
from nfsw.actors.start import HEARTBEAT_S
from nfsw.supervisor.child import ProcessChild
from tests.support.real_actors import SLOTS, boots

PATIENCE_S = 30.0
EXIT_CODE = 42


@asynccontextmanager
async def scanner(folder: Path) -> AsyncIterator[ProcessChild]:
    child = ProcessChild.start("scanner", boots(folder)["scanner"], SLOTS)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield child
    finally:
        child.kill()
        await child.gone()
        child.close()


async def has_started(child: ProcessChild) -> bool:
    return Started() in [envelope.message for envelope in await child.receive() or ()]


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package from which this process is said to run: a copy, which is not the one that is installed."""
    assert nfsw.__file__ is not None
    package = tmp_path / "elsewhere/nfsw"
    shutil.copytree(Path(nfsw.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(run_module, "__file__", str(package / "run_module.py"))
    return package


async def test_what_lies_in_the_working_directory_is_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "somebody's"
    for name in ("types.py", "logging.py", "nfsw/__init__.py", "nfsw/actors/__init__.py", "nfsw/actors/__main__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("import os\nos._exit(99)\n")
    monkeypatch.chdir(folder)
    async with scanner(tmp_path) as child:
        assert await has_started(child)


async def test_a_child_runs_the_package_of_its_parent_whatever_else_is_installed(tmp_path: Path, other_package: Path) -> None:
    (other_package / "actors/scanner.py").write_text(f"import os\nos._exit({EXIT_CODE})\n")
    async with scanner(tmp_path) as child:
        assert await child.gone() == EXIT_CODE


async def test_heartbeats_come_while_the_imports_take_their_time(tmp_path: Path, other_package: Path) -> None:
    scanner_module = other_package / "actors/scanner.py"
    scanner_module.write_text(f"import time\ntime.sleep({3 * HEARTBEAT_S})\n{scanner_module.read_text()}")
    async with scanner(tmp_path) as child:
        starting = asyncio.create_task(has_started(child))
        while child.board.silent_s() is None:  # noqa: ASYNC110 - a board tells nobody that it has changed
            await asyncio.sleep(0.01)
        silences: list[float] = []
        while not starting.done():
            silences.append(child.board.silent_s() or 0.0)
            await asyncio.sleep(0.1)
        assert starting.result()
        assert len(silences) > 2 * HEARTBEAT_S / 0.1, "it took its time"
        assert max(silences) < 2 * HEARTBEAT_S


async def test_whichever_descriptor_is_one_too_many_nothing_is_left_of_the_attempt(tmp_path: Path) -> None:
    boot = boots(tmp_path)["scanner"]
    failed = 0
    ours = children()  # other tests' servers
    with no_holes() as before:
        while (child := started(boot, at_most=len(before) + failed)) is None:
            failed += 1
            assert descriptors() == before
            assert children() == ours
        child.kill()
        await child.gone()
        child.close()
        assert descriptors() == before
    assert failed >= 5, "the pair of sockets, the board, a pipe for exec's error, the process"


def started(boot: Boot, at_most: int) -> ProcessChild | None:
    """None: this process may have too few descriptors for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (at_most, hard))
    try:
        return ProcessChild.start("scanner", boot, SLOTS)
    except OSError as error:
        return None if error.errno == errno.EMFILE else pytest.fail(str(error))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def no_holes() -> Iterator[set[int]]:
    """The numbers of all descriptors, of which none is free in between."""
    filled: list[int] = []
    while max(descriptors()) >= len(descriptors()):
        filled.append(os.open(os.devnull, os.O_RDONLY))
    try:
        yield descriptors()
    finally:
        for fd in filled:
            os.close(fd)


def descriptors() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


def children() -> list[str]:
    return Path("/proc/thread-self/children").read_text().split()


def test_a_child_whose_parent_has_ended_by_the_time_it_begins_leaves_at_once() -> None:
    another = os.getppid()
    command = run_module.command("nfsw.actors", "scanner", "0", "0", str(another))
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")

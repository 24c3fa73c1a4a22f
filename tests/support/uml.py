"""Boots a user-mode Linux guest with a real NFSv4.1 hard mount and runs one command in it. Runs on the host, for tests/nfs.

The guest is an ordinary process: no KVM, no image, the host's root is its root. uml_init.sh is its process 1. Nothing that
the command writes under /run, /dev/shm and the mount is seen by the host; everything else is the host's own files.
"""

import contextlib
import os
import platform
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: In the guest: the hard mount, the folder that the server exports (no NFS in between), and room for other files.
MOUNT = Path("/run/nfsw/mnt")
EXPORT = Path("/run/nfsw/export")
SCRATCH = Path("/run/nfsw/tmp")

#: A boot takes 3 s on an idle box. Six times that is a guest that hangs.
BOOT_LIMIT_S = 40.0

_INIT = Path(__file__).with_name("uml_init.sh")
_XSTATE = Path(__file__).with_name("uml_xstate.c")
#: Each with its Debian package.
_PROGRAMS = {
    "linux.uml": "user-mode-linux",
    "rpc.nfsd": "nfs-kernel-server",
    "rpc.mountd": "nfs-kernel-server",
    "nfsdcld": "nfs-kernel-server",
    "exportfs": "nfs-kernel-server",
    "mount.nfs4": "nfs-common",
    "modprobe": "kmod",
    "ip": "iproute2",
    "tc": "iproute2",
}
_MEMORY = "/dev/shm"  # noqa: S108 - here the guest makes the file that is its memory, and unlinks it
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class GuestFailed(Exception):
    """The guest did not come up, fell silent, or died. The message carries the end of its console."""


class Guest:
    """A running guest."""

    def __init__(self, process: subprocess.Popen[bytes], channel: int, console: Path) -> None:
        self.process = process
        self._channel = channel  # what the guest writes to /dev/tty1
        self._console = console
        self._received = bytearray()

    def line(self, within_s: float) -> str:
        """The next line that the guest sends. GuestFailed when none comes in time, or the guest has died."""
        deadline = time.monotonic() + within_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise GuestFailed(f"the guest said nothing for {within_s:.0f} s\n{self.end_of_console()}")
                some = os.read(self._channel, 65536)
                if not some:
                    raise GuestFailed(f"the guest died\n{self.end_of_console()}")
                self._received += some
        line, _, rest = self._received.partition(b"\n")
        self._received = rest
        return line.decode().rstrip("\r")

    def end_of_console(self) -> str:
        return self._console.read_text(errors="replace")[-6000:]


def unfit() -> str | None:
    """Why no guest can run on this machine; None when one can."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        return f"user-mode Linux needs x86-64 Linux, this is {platform.machine()}"
    if os.geteuid() != 0:
        return "the guest's root is the host's: mounting in it needs root"
    programs = _PROGRAMS | ({"cc": "gcc libc6-dev"} if _needs_xstate() else {})
    missing = [program for program in programs if not shutil.which(program, path=_PATH)]
    if missing:
        packages = dict.fromkeys(programs[program] for program in missing)
        return f"not installed: {', '.join(missing)} (Debian: {' '.join(packages)})"
    return None


def _needs_xstate() -> bool:
    """Whether this CPU has more registers than the guest's kernel knows how to restore: uml_xstate.c says why that matters."""
    return "amx_tile" in Path("/proc/cpuinfo").read_text().split()


def _preload(job: Path) -> dict[str, str]:
    """What is added to the environment of the guest's kernel."""
    if not _needs_xstate():
        return {}
    library = job / "xstate.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, _XSTATE], check=True, env={"PATH": _PATH, "TMPDIR": str(job)})
    return {"LD_PRELOAD": str(library)}


@contextlib.contextmanager
def boot(
    command: Sequence[str], *, environment: Mapping[str, str], cwd: Path, job: Path, memory: str = "3G", export_size: str = "1500m"
) -> Iterator[Guest]:
    """A guest that runs `command` in the folder `cwd`. The folder `job` takes its console.log. On leaving, the guest is gone."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    lines += [f"cd {shlex.quote(str(cwd))}", f"exec {shlex.join(command)}"]
    (job / "command").write_text("\n".join(lines) + "\n")
    console = job / "console.log"
    reading, writing = os.pipe()
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, reading)
        with console.open("wb") as log:
            process = subprocess.Popen(
                [
                    "linux.uml",
                    f"mem={memory}",
                    *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "quiet"),
                    f"init={_INIT}",
                    *("con=null", f"con0=null,fd:{log.fileno()}", f"con1=null,fd:{writing}"),
                    *(f"uml_dir={job}/", "umid=guest"),
                    *(f"NFSW_JOB={job}", f"NFSW_EXPORT_SIZE={export_size}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(log.fileno(), writing),
                env={"PATH": _PATH, "HOME": str(job), "TMPDIR": _MEMORY, **_preload(job)},
                start_new_session=True,
            )
        os.close(writing)
        undo.callback(_end, process)
        guest = Guest(process, reading, console)
        if (said := guest.line(BOOT_LIMIT_S)) != "up":
            raise GuestFailed(f"the guest did not mount: {said}\n{guest.end_of_console()}")
        yield guest


def _end(process: subprocess.Popen[bytes]) -> None:
    """The guest's processes are host processes of its own group: all of them go."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

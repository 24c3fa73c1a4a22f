"""The pods of one share, as their tests see them: who holds what, and ends of all kinds."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from zlib import crc32

from tests.support.content import KIB, MIB, some_bytes
from tests.support.service import Service
from tests.support.site import Site
from tests.support.waiting import until

#: Several blocks a file, so that a transfer has a middle.
IN_BLOCKS = {"APP_AZURE_MAX_SINGLE_PUT_SIZE": "1", "APP_AZURE_MAX_BLOCK_SIZE": str(256 * KIB), "APP_AZURE_MAX_CONCURRENCY": "2"}


class Company:
    def __init__(self, site: Site) -> None:
        self.site = site

    def launch(self, name: str, **settings: str) -> Service:
        """Another life of the pod `name`: its staging is what its last life left."""
        return self.site.launch(**self.site.pod(name), **{**IN_BLOCKS, **settings})

    def serve(self, name: str, **settings: str) -> Service:
        return self.launch(name, **settings).ready()

    def write(self, session: str, *, files: int = 3, size: int = 2 * MIB) -> None:
        for number in range(files):
            self.site.write(session, f"{number}.bin", some_bytes(crc32(f"{session}/{number}".encode()), size))


def held(service: Service) -> str | None:
    """The session that the pod says it holds."""
    session = service.status()["session"]
    return str(session["name"]) if session else None


def awaits(service: Service, session: str | None, *, within: float = 30) -> None:
    """Until the pod holds the session; None: none."""
    until(lambda: held(service) == session, within=within, what=lambda: f"it holds {session}\n{service.report()}")


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """None of these does anything meanwhile. They may be gone afterwards."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

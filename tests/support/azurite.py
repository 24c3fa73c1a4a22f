"""Azurite, the blob emulator, as a process of its own on a free loopback port."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import listening_port, tied_to_us
from tests.support.waiting import until

CHECKOUT = Path(__file__).parents[2]
#: Azurite's own account, the same on every machine; no secret.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
STOP_WITHIN = 5.0


class NoNode(Exception):
    """Node.js is not installed, so Azurite cannot run."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server over https needs, and what its clients must trust."""

    authority: Path
    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where blobs are: Azurite itself, or a link in front of it."""

    port: int
    authority: Path | None = None  # whoever signed its certificate; None: plain http

    @property
    def scheme(self) -> str:
        return "https" if self.authority else "http"

    @property
    def account_url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        return self.signed_with(KEY)

    def signed_with(self, key: str) -> str:
        return f"DefaultEndpointsProtocol={self.scheme};AccountName={ACCOUNT};AccountKey={key};BlobEndpoint={self.account_url};"


@contextmanager
def azurite(folder: Path, certificate: Certificate | None = None) -> Iterator[Endpoint]:
    """Azurite with its data in `folder`. With a certificate: over https, and bearer tokens are accepted."""
    command = [*_program(), "--blobHost", "127.0.0.1", "--blobPort", "0", "--location", str(folder)]
    command += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    if certificate:
        command += ["--oauth", "basic", "--cert", str(certificate.chain), "--key", str(certificate.key)]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "azurite.log"
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches the service and us, and we end Azurite last.
        process = subprocess.Popen(tied_to_us(command), stdout=output, stderr=output, start_new_session=True)
    try:
        port = until(lambda: process.poll() is not None or listening_port(process.pid), within=60, what=f"Azurite listens, see {log}")
        if port is True:
            raise RuntimeError(f"Azurite ended with {process.returncode}: {log.read_text()}")
        yield Endpoint(port, certificate.authority if certificate else None)
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def node() -> str:
    """The Node that scripts/setup-node has chosen, or else this machine's."""
    found = shutil.which("node", path=f"{CHECKOUT}/.tools/bin:{os.environ.get('PATH', os.defpath)}")
    if found is None:
        raise NoNode("Node.js is missing, and Azurite needs it: `make test` and `make demo` install it")
    return found


def _program() -> list[str]:
    program = CHECKOUT / "node_modules/.bin/azurite-blob"
    if not program.exists():
        raise FileNotFoundError(f"Azurite is not installed: {program} is missing; `make test` and `make demo` install it")
    return [node(), str(program.resolve())]

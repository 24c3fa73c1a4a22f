"""Starts a sink and talks to its control port. Runs in the process that benchmarks or tests."""

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).resolve().parents[3]
ACCOUNT = "devstoreaccount1"
#: Any base64 would do: the sink does not look.
KEY = "c2luaw=="
TIMEOUT_S = 30


class Sink:
    """A context manager: the sink's process lives as long as it."""

    def __init__(self, *, cap: float | None = None, check: bool = False, certificate: Path | None = None) -> None:
        self._arguments = ["--cap", str(cap)] if cap is not None else []
        self._arguments += ["--check"] if check else []
        self._arguments += ["--certificate", str(certificate)] if certificate is not None else []
        self._scheme = "https" if certificate is not None else "http"

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tools.bench.sink", *self._arguments]
        self._process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        ports = json.loads(self._process.stdout.readline())
        self.port: int = ports["port"]
        self._control: int = ports["control"]
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT_S)
        self._process.stdout.close()

    @property
    def endpoint(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        return f"DefaultEndpointsProtocol={self._scheme};AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"

    def totals(self) -> dict[str, Any]:
        """Counts of all blobs together, cheap."""
        answer: dict[str, Any] = self._ask("GET", "/totals")
        return answer

    def blobs(self) -> dict[str, dict[str, Any]]:
        """All that is known of each blob, by its name. With several containers of one name the later wins."""
        return {blob["name"]: blob for blob in self._ask("GET", "/blobs")}

    def create_container(self, name: str) -> None:
        self._ask("PUT", f"/containers/{name}")

    def reset(self) -> None:
        """Forgets all blobs and counts."""
        self._ask("POST", "/reset")

    def cap(self, bytes_per_s: float | None) -> None:
        """Connections that are open already keep the receive buffer that they have."""
        self._ask("PUT", "/cap", json.dumps({"bytes_per_s": bytes_per_s}))

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._control, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

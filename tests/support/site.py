"""One test's world: a folder that stands in for the NFS share, staging, a container, and a ledger of what writers wrote.

The ledger is the checker: it knows what has to be in Azure in the end from the writers alone, never from the service.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.content import Content
from tests.support.service import Service
from tests.support.waiting import until

#: Quick, so that a test takes no longer than it must. The stability rule is the same.
QUICK = {"APP_POLL_INTERVAL_S": "0.1", "APP_MIN_FILE_AGE_S": "0.3", "APP_WRITEBACK_AGE_S": "0.3", "APP_GC_INTERVAL_S": "1"}
ARRIVED_WITHIN = 90.0


def utc_date() -> str:
    return datetime.now(UTC).strftime("%Y%m%d")


def files_below(folder: Path) -> set[Path]:
    """Everything but folders. A name may go while we look."""
    return {Path(parent, name) for parent, _, names in folder.walk() for name in names}


class Site:
    """`nfs` is the test's way to the share, `seen_at` the service's: the same, unless something lies between them that can fail. Then the

    test works behind it and never hangs; for the service it is what another NFS client is, whose files appear and vanish at the server.
    """

    def __init__(
        self, folder: Path, endpoint: Endpoint, container: Container, nfs: Path | None = None, seen_at: Path | None = None
    ) -> None:
        self.folder, self.endpoint, self.container = folder, endpoint, container
        self.nfs, self.staging = nfs or folder / "nfs", folder / "staging"
        self.seen_at = seen_at or self.nfs
        for path in (self.nfs, self.staging):
            path.mkdir(parents=True, exist_ok=True)
        self._services: list[Service] = []
        self._dates = {utc_date()}
        self._written: dict[tuple[str, str], Content] = {}
        self._exact: dict[str, Content] = {}

    # -- the share

    def incoming(self, session: str) -> Path:
        folder = self.nfs / "incoming" / session
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def processing(self, session: str, date: str | None = None) -> Path:
        return self.nfs / ".processing" / (date or utc_date()) / session

    def write(self, session: str, name: str, content: bytes) -> Path:
        """The plainest of writers: one write, and the file is whole."""
        path = self.incoming(session) / name
        path.write_bytes(content)
        self.expect(session, name, Content.of([content]))
        return path

    # -- the ledger

    def expect(self, session: str, name: str, content: Content) -> None:
        """In the end this is in Azure under the date of its claim."""
        self._written[session, name] = content

    def expect_blob(self, blob: str, content: Content) -> None:
        """The same for a file whose claim was dated before the test."""
        self._exact[blob] = content

    def all_arrived(self, *, within: float = ARRIVED_WITHIN, left: set[Path] | None = None) -> None:
        """Waits until the share and staging hold no file but `left`; then every file is in Azure byte for byte, and nothing else is."""
        remaining = left or set()
        until(
            lambda: self.files_held() == remaining,
            within=within,
            what=lambda: f"only {remaining} left on the share and in staging; there are {sorted(self.files_held())}\n{self.report()}",
        )
        names = self.container.names()
        assert {self._key(name) for name in names} == self._written.keys() | self._exact.keys(), self.report()
        for name in names:
            self._compare(name)

    def has_arrived(self, session: str, name: str, *, within: float = ARRIVED_WITHIN) -> None:
        """Waits until this one file has left the share; then it is in Azure byte for byte."""
        until(
            lambda: not {name, f"{name}.completed"} & {path.name for path in self.files_held()},
            within=within,
            what=lambda: f"{name} has left the share\n{self.report()}",
        )
        blobs = [blob for blob in self.container.names() if self._key(blob) == (session, name)]
        assert len(blobs) == 1, f"{name}: {blobs}\n{self.report()}"
        self._compare(blobs[0])

    def files_held(self) -> set[Path]:
        return files_below(self.nfs / "incoming") | files_below(self.nfs / ".processing") | files_below(self.staging)

    def staged_bytes(self) -> int:
        total = 0
        for path in files_below(self.staging):
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
        return total

    # -- the service

    def settings(self, **changes: str) -> dict[str, str]:
        return {
            "APP_NFS_ROOT": str(self.seen_at),
            "APP_STAGING_DIR": str(self.staging),
            "APP_AZURE_CONNECTION_STRING": self.endpoint.connection_string,
            "APP_AZURE_CONTAINER": self.container.name,
            "APP_HOST": "127.0.0.1",
            "APP_PORT": "0",
            **QUICK,
            **changes,
        }

    def pod(self, name: str) -> dict[str, str]:
        """Settings of a pod besides others: each one has a staging folder of its own."""
        staging = self.staging / name
        staging.mkdir(exist_ok=True)
        return {"APP_POD_NAME": name, "APP_STAGING_DIR": str(staging)}

    def launch(self, **changes: str) -> Service:
        """Started, but perhaps not ready yet."""
        return self._launched(self.settings(**changes))

    def launch_onto(self, stdout: int, **changes: str) -> Service:
        """The same, with its stdout on this descriptor."""
        return self._launched(self.settings(**changes), stdout)

    def launch_through(self, command: Sequence[str], **changes: str) -> Service:
        """The same, by a command that becomes the service."""
        return self._launched(self.settings(**changes), through=command)

    def serve(self, **changes: str) -> Service:
        return self.launch(**changes).ready()

    def report(self) -> str:
        return "\n".join(service.report() for service in self._services)

    def close(self) -> None:
        """Ends what still runs. Then what was said is looked at: JSON on stdout, nothing on stderr."""
        for service in self._services:
            service.leave_nothing()
        for service in self._services:
            service.log()
            assert not service.stderr.read_text(), service.report()

    def _launched(self, settings: dict[str, str], stdout: int | None = None, through: Sequence[str] = ()) -> Service:
        service = Service(self.folder / f"service-{len(self._services)}", settings, stdout, through)
        self._services.append(service)
        return service

    def _compare(self, name: str) -> None:
        blob, key = self.container.read(name), self._key(name)
        wanted = self._exact[key] if isinstance(key, str) else self._written[key]
        assert blob.content == wanted, f"{name}: other bytes\n{self.report()}"
        assert not blob.misstated, f"{name}: {blob.misstated}"
        assert blob.content_type, f"{name}: no content type"

    def _key(self, blob: str) -> tuple[str, str] | str:
        if blob in self._exact:
            return blob
        date, session, name = blob.split("/", 2)
        assert date in self._dates | {utc_date()}, f"a blob of another day: {blob}"
        return session, name


@contextmanager
def site_in(
    folder: Path, endpoint: Endpoint, container: Container, *, nfs: Path | None = None, seen_at: Path | None = None
) -> Iterator[Site]:
    site = Site(folder, endpoint, container, nfs, seen_at)
    try:
        yield site
    finally:
        site.close()

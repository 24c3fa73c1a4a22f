"""What the sink remembers: of a blob all but its content, and how many bytes came for it, block by block. Sink process."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Of all blobs together: cheap to ask for while a benchmark runs."""

    received: int = 0  # body bytes of Put Blob and Put Block, those of broken requests too
    committed: int = 0  # blobs put or committed, one that is overwritten counts again
    first_at: float | None = None  # time.monotonic() of the first body byte
    last_at: float | None = None  # and of the latest commit


@dataclass(frozen=True, slots=True)
class Committed:
    size: int
    headers: Mapping[str, str]  # as a Get Blob Properties answers them
    blocks: tuple[str, ...]  # ids in their order; empty after a Put Blob
    at: float  # time.monotonic()


@dataclass(slots=True)
class Part:
    """One block, or the whole blob of a Put Blob: the bytes that came for it."""

    totals: Counters
    received: int = 0
    completed: int = 0  # times that it came whole and was accepted

    def add(self, count: int) -> None:
        if self.totals.first_at is None:
            self.totals.first_at = time.monotonic()
        self.received += count
        self.totals.received += count


@dataclass(slots=True)
class Blob:
    whole: Part  # of Put Blob
    parts: dict[str, Part] = field(default_factory=dict)  # of Put Block, by id; never forgotten
    staged: dict[str, int] = field(default_factory=dict)  # uncommitted: id -> size
    committed: Committed | None = None
    sizes: dict[str, int] = field(default_factory=dict)  # of the committed blocks: id -> size
    commits: int = 0

    @property
    def received(self) -> int:
        return self.whole.received + sum(part.received for part in self.parts.values())


@dataclass(slots=True)
class Ledger:
    containers: set[str] = field(default_factory=set)
    blobs: dict[tuple[str, str], Blob] = field(default_factory=dict)  # by container and name
    requests: Counter[str] = field(default_factory=Counter)  # by operation
    totals: Counters = field(default_factory=Counters)

    def blob(self, container: str, name: str) -> Blob:
        """Made when it is not there: bytes may come for a blob that never will be."""
        known = self.blobs.get((container, name))
        if known is None:
            known = self.blobs[container, name] = Blob(Part(self.totals))
        return known

    def part(self, blob: Blob, block: str) -> Part:
        known = blob.parts.get(block)
        if known is None:
            known = blob.parts[block] = Part(self.totals)
        return known

    def commit(self, blob: Blob, headers: Mapping[str, str], sizes: Mapping[str, int], size: int, order: tuple[str, ...]) -> None:
        """Blocks that are not part of it are dropped, as the service does."""
        now = time.monotonic()
        blob.committed = Committed(size=size, headers=headers, blocks=order, at=now)
        blob.sizes = dict(sizes)
        blob.staged = {}
        blob.commits += 1
        self.totals.committed += 1
        self.totals.last_at = now

    def forget(self) -> None:
        """All blobs and counts; the containers stay. A request under way goes on counting into what is forgotten."""
        self.blobs = {}
        self.requests = Counter()
        self.totals = Counters()

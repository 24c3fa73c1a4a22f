"""What the fault proxy can do to a request, and which requests it does it to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tests.support.proxy_http import Head


@dataclass(frozen=True, slots=True)
class Answer:
    """The body is read, nothing is passed on, and this is the answer."""

    status: int
    code: str = "ServerBusy"
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignInPage:
    """The network's own page answers, and Azure never hears of the request."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Carried out; these fields of the answer's head are others. None: it is without them."""

    fields: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Delay:
    """Passed on after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Passed on once the rule does not hold any more."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset after so many bytes of the body."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class StopReading:
    """The peer takes so many bytes of the body and no more, and keeps the connection open."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Truncate:
    """Carried out; of the answer only so many bytes come back, head included, then the connection ends."""

    answer_bytes: int


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """Carried out; the answer never comes: the connection is reset, or stays silent."""

    silent: bool = False


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The body is read, nothing is passed on, nothing comes back."""


type Fault = Answer | SignInPage | Rewrite | Delay | Hold | Reset | StopReading | Truncate | LoseAnswer | NoAnswer

SERVER_ERROR = Answer(500, "InternalError")
BUSY = Answer(503, "ServerBusy")
FORBIDDEN = Answer(403, "AuthorizationFailure")


def too_many(retry_after_s: int) -> Answer:
    return Answer(429, "TooManyRequests", {"Retry-After": str(retry_after_s)})


@dataclass(slots=True)
class Request:
    """One request as it arrived, and what became of it."""

    method: str
    comp: str | None  # the query's comp: block, blocklist, list, ...; None for a blob as a whole
    blob: str  # without account and container; empty: about the container or the account
    block: str | None  # the block's id as sent (Base64)
    size: int  # of the body, as announced
    at: float  # time.monotonic() of its head
    received: int = 0  # of the body
    status: int | None = None  # of Azurite's answer; None: it has not been asked, or has not answered
    fault: Fault | None = None

    @classmethod
    def of(cls, head: Head, at: float) -> "Request":
        path, query = head.target
        blob = "/".join(path.split("/")[3:])
        return cls(head.method, query.get("comp"), blob, query.get("blockid"), head.length, at)

    @property
    def commits(self) -> bool:
        """Whether it made a blob out of what was sent."""
        return self.status == 201 and self.writes_blob

    @property
    def writes_blob(self) -> bool:
        """Put Block List or Put Blob."""
        return self.method == "PUT" and bool(self.blob) and self.comp in (None, "blocklist")

    @property
    def carries_data(self) -> bool:
        """Put Block or Put Blob."""
        return self.method == "PUT" and bool(self.blob) and self.comp in (None, "block")


@dataclass(slots=True)
class Rule:
    """`method` and `comp` "*" meet any; `comp` None meets requests without one. `blob` is a pattern."""

    fault: Fault
    method: str
    comp: str | None
    blob: str
    skip: int  # so many are let through first
    times: int | None  # None: all
    seen: int = 0
    hits: int = 0

    def meets(self, request: Request) -> bool:
        if self.method not in ("*", request.method) or self.comp not in ("*", request.comp) or not fnmatchcase(request.blob, self.blob):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True

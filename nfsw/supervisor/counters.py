"""What has been done since the process started, in plain numbers: for the status, and for the metrics. Main process."""

from dataclasses import dataclass, field, replace


@dataclass(slots=True)
class Counters:
    """The keys are all there from the start, so that a counter is exported as 0 before it counts."""

    completed: int = 0
    bytes_completed: int = 0
    bytes_claimed: int = 0  # of the files that were claimed just now
    bytes_sent: int = 0
    bytes_resent: int = 0
    #: Files taken on, by where they were found: claimed just now, or claimed before and found so.
    claimed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("incoming", "processing"), 0))
    #: Claimed files that are not ours to complete any more, by reason.
    given_up: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("gone", "refused"), 0))
    #: Files that failed at least once, by the step that failed first.
    failed_at: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("queue", "claim", "stage", "upload", "complete"), 0))

    @property
    def failed(self) -> int:
        return sum(self.failed_at.values())

    def copy(self) -> "Counters":
        return replace(self, claimed=dict(self.claimed), given_up=dict(self.given_up), failed_at=dict(self.failed_at))

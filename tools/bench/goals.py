"""The targets of the project, as data: which figure of which case is held against which bound. The benchmark's process."""

from dataclasses import dataclass

from tools.bench.figures import Results, Spread

OURS = "nfsw"


@dataclass(frozen=True, slots=True)
class Goal:
    what: str
    case: str
    key: str
    bound: float
    unit: str = ""
    against: str | None = None  # a peer: the figure is the ratio to its own
    side: str = OURS
    at_least: bool = False  # else: at most

    def figure(self, results: Results) -> Spread | None:
        if self.against:
            return results.ratio(self.case, self.key, self.side, self.against)
        return results.spread(self.case, self.side, self.key)

    def is_met(self, figure: Spread) -> bool:
        """By the median."""
        return figure.median >= self.bound if self.at_least else figure.median <= self.bound

    @property
    def target(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}{' ' + self.unit if self.unit else ''}"


GOALS = (
    Goal("4 large files into a sink, staging included: wall against rclone", "sink", "wall_s", 0.6, against="rclone"),
    Goal("the same: CPU seconds per GB against rclone", "sink", "cpu_s_per_gb", 0.55, against="rclone"),
    Goal("the same with `APP_CONTENT_MD5`: CPU against rclone", "sink", "cpu_s_per_gb", 1.0, against="rclone", side="nfsw-md5"),
    Goal("the same over TLS: wall against rclone", "tls", "wall_s", 0.8, against="rclone"),
    Goal("the same over TLS: CPU against rclone", "tls", "cpu_s_per_gb", 0.7, against="rclone"),
    Goal("4 large files into a sink: wall against plain `upload_blob`", "sink", "wall_s", 1.5, against="upload_blob"),
    Goal(
        "files of 4 KiB: files per second against plain `upload_blob`",
        "small",
        "files_per_s",
        0.8,
        against="upload_blob",
        at_least=True,
    ),
    Goal("4 equal files over a slow uplink: mean completion, in units of one file's time", "turns", "mean_completion", 2.8),
    Goal("the same: wall against size / rate", "turns", "wall_over_link", 1.03),
    Goal("the same: longest time in which no number of the status moves", "turns", "longest_still_s", 3, "s"),
    Goal("one large file over a slow uplink: wall against size / rate", "uplink", "wall_over_link", 1.05),
    Goal("a pause on a slow uplink without a limit takes hold within", "pause", "pause_s", 2, "s"),
    Goal("SIGKILL of everything at half of a file of 1 GiB: sent again", "kill", "resent_mib", 16, "MiB"),
    Goal("bytes read from NFS against file size", "loaded", "nfs_read_over_size", 1.01),
    Goal("PSS of all processes, idle", "idle", "idle_pss_mb", 150, "MB"),
    Goal("PSS of all processes, 4 files in flight", "loaded", "loaded_pss_mb", 250, "MB"),
    Goal("CPU when idle, default poll", "idle", "idle_cpu_percent", 0.5, "% of a core"),
    Goal("/healthz p99 under full load", "healthz", "healthz_p99_ms", 8, "ms"),
    Goal("a small file, from stable to committed, p50", "latency", "stable_to_committed_p50_s", 0.3, "s"),
    Goal("start to /readyz 200", "start", "start_s", 1.5, "s"),
)

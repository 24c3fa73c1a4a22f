"""What the checks need to know of the settings, as plain values: the NFS checks load no more than an NFS actor does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    nfs_root: str
    staging_dir: str
    staging_limit: int  # bytes
    block_size: int | None  # bytes; None: it grows with the file
    workers: int
    account_url: str | None
    connection_string: str | None
    container: str
    #: Seconds that a check may take, unless it says otherwise itself.
    limit_s: float

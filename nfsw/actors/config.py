"""What an actor is told when its process starts: the few plain values it needs, no more. Made in the main process."""

import msgspec

from nfsw.actors.envelope import Message


class KeeperConfig(msgspec.Struct, frozen=True, tag=True):
    nfs_root: str
    holder: str  # what this pod calls itself


class ScannerConfig(msgspec.Struct, frozen=True, tag=True):
    nfs_root: str
    poll_interval_s: float
    min_file_age_s: float
    writeback_age_s: float  # the same where nobody can tell whether a writer has the file open
    extensions: tuple[str, ...]
    largest: int  # bytes: a file of more than that can never be staged
    recursive: bool = False  # also the folders in the session's folder
    done_suffix: str = ""  # of the marker that a file needs; empty: it needs none


class ClaimerConfig(msgspec.Struct, frozen=True, tag=True):
    nfs_root: str
    staging_dir: str
    block_size: int | None  # bytes; None: it grows with the file
    workers: int
    content_md5: bool  # the blobs are to have an MD5 of the whole file
    done_suffix: str = ""  # of markers; empty: files need none


class CollectorConfig(msgspec.Struct, frozen=True, tag=True):
    nfs_root: str
    staging_dir: str
    interval_s: float
    workers: int
    keep_s: float = 0.0  # for which a `.completed` stays
    recursive: bool = False  # the active session's folder has folders in it, which are removed once they are empty and quiet
    min_file_age_s: float = 0.0
    writeback_age_s: float = 0.0


class UploaderConfig(msgspec.Struct, frozen=True, tag=True):
    staging_dir: str
    account_url: str | None
    connection_string: str | None
    container: str
    single_put_size: int  # bytes
    concurrency: int  # blocks in flight for one file
    workers: int
    tier: str | None = None  # access tier of the blobs; None: the account's own
    tags: tuple[str, ...] = ()  # index tags of the blobs, each `name=value`


type ActorConfig = KeeperConfig | ScannerConfig | ClaimerConfig | CollectorConfig | UploaderConfig


class Boot(Message, frozen=True):
    """The first thing a child reads."""

    actor: ActorConfig
    log_level: str
    board_slots: int
    log_export: int | None = None  # descriptor of the socket that takes log lines to the exporter; None: there is none

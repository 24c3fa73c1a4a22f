"""The messages that main process and actors exchange: jobs, their replies, requests without a reply, and news.

A reply and the news of a job say nothing of the file: the envelope has the job's number, and whoever posted the job knows it.
A name that is not UTF-8 goes as text that can be printed (`names.printable`); its file is never taken.
"""

from enum import Enum

from nfsw.actors.envelope import Job, Message, Reply
from nfsw.actors.files import File, FileRef, Fingerprint
from nfsw.actors.stability import Rule


class Outage(Enum):
    """What held a file up, so that the end of it ends the wait of all files that it held up."""

    NFS = "nfs"
    #: The local disk that takes the staged copies.
    STAGING = "staging"
    #: The service did not answer, or with an error of its own.
    AZURE = "azure"


# --- Several actors --------------------------------------------------------------------------------------------------


class Failed(Reply, frozen=True):
    """The job is not done, and nothing is lost. It is tried again after a pause."""

    error: str
    outage: Outage | None = None  # None: an end of it would not show
    #: Nothing of the file is left in staging.
    unstaged: bool = False


# --- Scanner ---------------------------------------------------------------------------------------------------------


class WatchedSessions(Message, frozen=True):
    """To Scanner and Collector: look at these sessions from now on."""

    active: str | None  # new files of this one are reported
    held: frozenset[str]  # what was claimed for these is looked after; the active one is among them
    recorded: frozenset[str]  # their folder under .processing has to stay, though it is empty


class ReportAgain(Message, frozen=True):
    """To Scanner, also from the Collector's sweep: what was reported of the file has come to nothing; it has to become stable again."""

    file: File


class FileStable(Message, frozen=True):
    """A version of a file that has not changed for as long as is asked for. Each one is reported once, and again every ten minutes."""

    file: File
    version: Fingerprint
    seen_at: float = 0.0  # when a scan first saw it (seconds, CLOCK_MONOTONIC)
    leased: bool = False  # a lease was granted: nobody had it open for writing. Else that could not be known
    marker: Fingerprint | None = None  # that its writer has left beside it; None: it needs none


class FileRefused(Message, frozen=True):
    """The file is not taken, or not finished if it is claimed; it stays where it is."""

    file: File
    reason: str
    abandoned: bool = False  # a claimed file that an operator has given up on: its session may end without it


class RefusalLifted(Message, frozen=True):
    """A refused file is no longer there, or is another version."""

    file: File


class FileGone(Message, frozen=True):
    """A claimed file that was to be reported again is no longer there."""

    file: FileRef


class DisplacedFile(Message, frozen=True):
    """A name that a claim moved out of its way was left behind by a crash."""

    session: str
    name: str
    instance_id: str  # of the Claimer that moved it


class SessionFound(Message, frozen=True):
    name: str
    date: str  # of its newest folder
    mtime_ns: int  # of that folder
    files: bool  # whether any of its folders holds a file that it cannot end without
    over: bool = False  # it had ended, and its folders stay for the sake of kept files; one of them is to be sent again


class ScanFinished(Message, frozen=True):
    """One scan of `.processing` and `incoming` is done."""

    sessions: tuple[SessionFound, ...]  # newest first


class ScanFailed(Message, frozen=True):
    """NFS gave an error instead of a listing. The next scan comes."""

    error: str


class RuleFound(Message, frozen=True):
    """Whether the file system tells that somebody has a file open for writing. Told at the start and whenever it changes."""

    rule: Rule
    reason: str


class OpenForWriting(Message, frozen=True):
    """How many files would be reported as stable if nobody had them open. Told when it changes."""

    count: int
    oldest: File | None = None
    since: float = 0.0  # when the oldest was found open (seconds since the epoch)


class ArrivalsCounted(Message, frozen=True):
    """What lies in `incoming` of the active session and is not refused. Told when it changes, before the files of the scan are reported."""

    files: int
    size: int  # bytes


class WaitingForMarker(Message, frozen=True):
    """How many files of the active session in `incoming` wait for the marker that their writers are to leave. Told when it changes."""

    count: int
    older: int = 0  # of these, files that have one which is older than they are, so that it does not count
    oldest: File | None = None
    since: float = 0.0  # when the oldest was first seen without one (seconds since the epoch)


class NamesTaken(Message, frozen=True):
    """How many stable files of `incoming` wait because a kept file has their name. Told when it changes."""

    count: int
    oldest: File | None = None
    since: float = 0.0  # when the oldest was found to wait (seconds since the epoch)


class HiddenFiles(Message, frozen=True):
    """How many files of the active session in `incoming` have a hidden name, and so are never taken. Told when it changes."""

    count: int


class LinksInTheWay(Message, frozen=True):
    """Symbolic links where folders have to be; nothing is taken from there. Told when it changes."""

    paths: tuple[str, ...]  # below the root, as people are told


# --- Keeper ----------------------------------------------------------------------------------------------------------


class AcquireLock(Job, frozen=True):
    """To Keeper: take the session for this pod."""

    session: str
    record: bool  # make the folders too: the session is to be active
    started_at: float | None = None  # seconds since the epoch; None: as the holder before us noted it, else now


class SessionHeld(Reply, frozen=True):
    started_at: float  # seconds since the epoch
    draining: bool  # it was stopped, by us or by the holder before us
    recorded: bool  # a call had made it active, here or in another pod


class SessionDenied(Reply, frozen=True):
    """Another pod holds the session."""

    holder: str | None  # what it calls itself; None: it has not noted its name yet


class SessionUnusable(Reply, frozen=True):
    """The session cannot be started: something that is no folder is where one of its folders has to be."""

    reason: str


class SessionReleased(Reply, frozen=True):
    """The lock is not ours any more. Also to AcquireLock: the session had ended before it was locked."""

    #: It is over, but a folder of it stays, because something is in it: kept files, or what is not nfsw's.
    kept: bool = False


class MarkStopped(Job, frozen=True):
    """To Keeper: note that the session was stopped, so that a restart does not make it active again."""

    session: str


class StopNoted(Reply, frozen=True):
    """No restart makes the session active again."""


class VerifyLock(Job, frozen=True):
    """To Keeper: look whether the session's lock is still ours; nobody tells who loses one."""

    session: str


class LockVerified(Reply, frozen=True):
    """It is ours, as far as can be known."""


class ReleaseLock(Job, frozen=True):
    """To Keeper: give the session up."""

    session: str
    forget: bool  # it is over: remove the record as well


class AbandonFile(Job, frozen=True):
    """To Keeper: note that a claimed file is not to be finished."""

    session: str
    name: str  # as the directory or the status has it
    date: str | None  # of its claim; None: whichever there is
    reason: str


class FileAbandoned(Reply, frozen=True):
    """The note is on the server's disk."""

    file: FileRef


class NotOneClaimedFile(Reply, frozen=True):
    """There is no claimed file of that name, or there are several."""

    dates: tuple[str, ...]  # of the claims


# --- Claimer ---------------------------------------------------------------------------------------------------------


class StageFile(Job, frozen=True):
    """To Claimer: claim the file if it is an arrival, and stage it."""

    file: File
    version: Fingerprint
    restage: bool = False  # what is staged of it is worthless
    leased: bool = False  # take it only if a lease is granted, as it was when it was seen stable
    marker: Fingerprint | None = None  # take it only if this is still beside it; None: it needs none


class Claimed(Message, frozen=True):
    """News of StageFile: the arrival has its name under `.processing`."""

    file: FileRef
    version: Fingerprint  # once the claim was done, which has changed the ctime


class StagingProgress(Message, frozen=True):
    """News of StageFile: so much is in the manifest, to be sent."""

    staged: int  # bytes


class Staged(Reply, frozen=True):
    """The staged copy is complete, and the source was the same before and after."""


class Changed(Reply, frozen=True):
    """The file is not what it was when it was seen stable: it has to become stable again."""


class StillOpen(Reply, frozen=True):
    """Somebody has the file open for writing: it is taken once it is closed."""


class Gone(Reply, frozen=True):
    """Benign: the file is no longer there."""


class NameTaken(Reply, frozen=True):
    """The arrival has to wait: a file of its name is being processed."""


class RestoreDisplaced(Job, frozen=True):
    """To Claimer: see to a name that was left displaced."""

    displaced: DisplacedFile


class DisplacedSeenTo(Reply, frozen=True):
    """As well as can be: each scan finds again what is left."""


class StagingFound(Message, frozen=True):
    """Something of this file lies in staging, from an earlier process of the Claimer."""

    file: FileRef
    size: int  # bytes on local disk


# --- Uploader --------------------------------------------------------------------------------------------------------


class ContainerReady(Message, frozen=True):
    """The container is there, and its service took our credentials."""


class ContainerRefused(Message, frozen=True):
    reason: str


class ClockMeasured(Message, frozen=True):
    """What Azure's clock says, from the `Date` of an answer. Both are in seconds."""

    azure: float  # since the epoch
    at: float  # CLOCK_MONOTONIC, when the answer came


class AzureAnswers(Message, frozen=True):
    """The service answers again, after a failure that said that it did not."""


class SetUploads(Message, frozen=True):
    """To Uploader: how much may be sent."""

    bytes_per_s: int | None
    paused: bool


class UploadFile(Job, frozen=True):
    """To Uploader: send what is staged of the file, while it is being staged. One attempt."""

    file: FileRef
    version: Fingerprint
    attempt: int = 1  # this one, counted from 1
    staged: bool = False  # all of it is already
    #: An earlier process or attempt may have sent it already, so the blob is looked at before anything is sent.
    look_first: bool = False
    #: The attempt before was refused: ask without a body whether it would be again.
    refused: bool = False


class MoreStaged(Message, frozen=True):
    """To Uploader: there is more in the manifest to be sent."""

    file: FileRef
    whole: bool = False  # nothing more will come


class WithdrawUpload(Message, frozen=True):
    """To Uploader: forget the file."""

    file: FileRef


class UploadProgress(Message, frozen=True):
    """News of UploadFile."""

    held: int  # bytes of the file that Azure holds
    left: int  # the same, and what has left in requests that are not answered yet
    sent: int  # bytes that have left since the last message of this kind
    resent: int  # of these, bytes that had left before
    blocks: int = 0  # that Azure has taken since


class Uploaded(Reply, frozen=True):
    """The blob is committed, and its size and CRC64 as read back are those of the file as it was read from NFS."""

    overwrote: bool  # a blob of that name with other content was there
    committed_at: float = 0.0  # when it was in Azure, and only to be read back (seconds, CLOCK_MONOTONIC)
    crc64: str = ""  # of the file, as the blob's metadata has it
    request_id: str | None = None  # Azure's, of the commit; None: an earlier process had sent it


class UploadFailed(Reply, frozen=True):
    error: str
    outage: Outage | None = None
    refused: bool = False
    for_good: bool = False  # it is refused, as far as the service says, until people change something: the next attempt can wait for long
    retry_after_s: float = 0.0  # as the service asks


class StagedCopyBad(Reply, frozen=True):
    """The staged copy is not what was read from NFS, or is not there any more."""

    reason: str


class Withdrawn(Reply, frozen=True):
    """The upload was withdrawn."""


# --- Collector -------------------------------------------------------------------------------------------------------


class DiskName(Enum):
    EXPORT = "export"
    STAGING = "staging"


class DiskMeasured(Message, frozen=True):
    """The room on the disk of the export, or of the staging folder. Told at each sweep."""

    disk: DiskName
    size: int  # bytes
    free: int  # bytes that the service may use


class CompleteFile(Job, frozen=True):
    """To Collector: mark the file as sent and delete it."""

    file: FileRef
    version: Fingerprint


class FilesKept(Message, frozen=True):
    """Files that are `.completed` and stay on NFS for a while. Told when it changes."""

    count: int
    size: int  # bytes


class Completed(Reply, frozen=True):
    """Nothing of the file is left on NFS, unless it is kept."""

    marked_at: float | None = None  # when it was `.completed` (seconds, CLOCK_MONOTONIC); None: it was before
    unstaged: bool = True  # nothing is left in staging
    kept: FilesKept | None = None  # it is, and these are all now


class EvictStaged(Job, frozen=True):
    """To Collector: remove the staged copy, others need the room."""

    file: FileRef


class Evicted(Reply, frozen=True):
    """Nothing of the file is left in staging."""


class Unstaged(Message, frozen=True):
    """Nothing of the file is left in staging: nothing on NFS stands for it any more, so it was swept out."""

    file: FileRef

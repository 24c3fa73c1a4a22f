"""The words that the actors exchange: frozen values named as facts, and the few requests that cause them."""

from dataclasses import dataclass, field

from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.stability import Rule

# --- Scanner ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watch:
    """To Scanner and Collector: look at these sessions from now on."""

    active: str | None  # new files of this one are reported
    held: frozenset[str]  # what was claimed for these is looked after; the active one is among them
    recorded: frozenset[str]  # their folder under .processing has to stay, though it is empty


@dataclass(frozen=True, slots=True)
class LetGo:
    """To Scanner: nobody has this file in hand any more; report it again."""

    file: File


@dataclass(frozen=True, slots=True)
class FileStable:
    """The file has not changed for as long as is asked for."""

    file: File
    fingerprint: Fingerprint
    seen_at: float = field(default=0.0, compare=False)  # when a scan first saw it (seconds, CLOCK_MONOTONIC)
    leased: bool = False  # a lease was granted: nobody had it open for writing. Else that could not be known


@dataclass(frozen=True, slots=True)
class FileRefused:
    """The file is not taken, or not finished if it is claimed; it stays where it is."""

    file: File
    reason: str
    abandoned: bool = False  # a claimed file that an operator has given up on: its session may end without it


@dataclass(frozen=True, slots=True)
class RefusalLifted:
    """A refused file is no longer there."""

    file: File


@dataclass(frozen=True, slots=True)
class NameAside:
    """A name that a claim moved out of its way was left behind by a crash."""

    session: str
    name: str
    incarnation: str  # of the claimer that moved it


@dataclass(frozen=True, slots=True)
class SessionFound:
    name: str
    date: str  # of its newest folder
    mtime_ns: int  # of that folder
    files: bool  # whether any of its folders holds a file


@dataclass(frozen=True, slots=True)
class Looked:
    """One look over `.processing` and `incoming` is done."""

    sessions: tuple[SessionFound, ...]  # newest first


@dataclass(frozen=True, slots=True)
class RuleFound:
    """Whether the file system tells that somebody has a file open for writing. Told at the start and whenever it changes."""

    rule: Rule
    reason: str


@dataclass(frozen=True, slots=True)
class OpenForWriting:
    """How many files would be reported as stable if nobody had them open. Told when it changes."""

    count: int
    oldest: File | None = None
    since: float = 0.0  # when the oldest was found open (seconds since the epoch)


@dataclass(frozen=True, slots=True)
class HiddenFiles:
    """How many files of the active session in `incoming` have a hidden name, and so are never taken. Told when it changes."""

    count: int


@dataclass(frozen=True, slots=True)
class LinksInTheWay:
    """Symbolic links where folders have to be; nothing is taken from there. Told when it changes."""

    paths: tuple[str, ...]  # below the root, as people are told


@dataclass(frozen=True, slots=True)
class LookFailed:
    """NFS gave an error instead of a listing. The next scan comes."""

    error: str


# --- Keeper ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hold:
    """To Keeper: take the session for this pod."""

    session: str
    record: bool  # make the folders too: the session is to be active
    started_at: float | None = None  # seconds since the epoch; None: as the holder before us noted it, else now


@dataclass(frozen=True, slots=True)
class Drain:
    """To Keeper: note that the session was stopped, so that a restart does not make it active again."""

    session: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """To Keeper: look whether the session's lock is ours still; nobody tells who loses one."""

    session: str


@dataclass(frozen=True, slots=True)
class Release:
    """To Keeper: give the session up."""

    session: str
    forget: bool  # it is over: remove the record as well


@dataclass(frozen=True, slots=True)
class AbandonFile:
    """To Keeper: note that a claimed file is not to be finished. Its answer has the same `request`."""

    request: int
    session: str
    name: str  # as the directory or the status has it
    date: str | None  # of its claim; None: whichever there is
    reason: str


@dataclass(frozen=True, slots=True)
class SessionHeld:
    session: str
    started_at: float  # seconds since the epoch
    draining: bool  # it was stopped, by us or by the holder before us
    recorded: bool  # a call had made it active, here or in another pod


@dataclass(frozen=True, slots=True)
class SessionDenied:
    session: str
    holder: str | None  # what the other pod calls itself; None: it has not noted its name yet


@dataclass(frozen=True, slots=True)
class HoldFailed:
    session: str
    error: str


@dataclass(frozen=True, slots=True)
class SessionUnusable:
    """The session cannot be started: something that is no folder is where one of its folders has to be."""

    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class StopNoted:
    """No restart makes the session active again."""

    session: str


@dataclass(frozen=True, slots=True)
class StopFailed:
    session: str
    error: str


@dataclass(frozen=True, slots=True)
class FileAbandoned:
    """The note is on the server's disk."""

    request: int
    file: FileRef


@dataclass(frozen=True, slots=True)
class NotOneClaimedFile:
    """There is no claimed file of that name, or there are several."""

    request: int
    dates: tuple[str, ...]  # of the claims


@dataclass(frozen=True, slots=True)
class AbandonFailed:
    request: int
    error: str


@dataclass(frozen=True, slots=True)
class SessionReleased:
    session: str
    #: It is over, but a folder of it stays, because something is in it that is not nfsw's.
    kept: bool = False


# --- Claimer ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Take:
    """To Claimer: claim the file if it is an arrival, and stage it."""

    file: File
    fingerprint: Fingerprint
    afresh: bool = False  # what is staged of it is worthless
    leased: bool = False  # take it only if a lease is granted, as it was when it was seen stable


@dataclass(frozen=True, slots=True)
class PutBack:
    """To Claimer: see to a name that was left aside."""

    aside: NameAside


@dataclass(frozen=True, slots=True)
class FileClaimed:
    arrival: Arrival
    file: FileRef
    fingerprint: Fingerprint  # once the claim was done, which has changed the ctime


@dataclass(frozen=True, slots=True)
class NameTaken:
    """The arrival has to wait: a file of its name is being processed."""

    arrival: Arrival


@dataclass(frozen=True, slots=True)
class StagingFound:
    """Something of this file lies in staging, from an earlier life of the Claimer."""

    file: FileRef
    size: int  # bytes on local disk


@dataclass(frozen=True, slots=True)
class StagingBegun:
    file: FileRef
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class StagingGrew:
    """Also to Uploader: there is more in the manifest to be sent."""

    file: FileRef
    staged: int  # bytes


@dataclass(frozen=True, slots=True)
class FileStaged:
    """Also to Uploader: the staged copy is complete, and the source was the same before and after."""

    file: FileRef


@dataclass(frozen=True, slots=True)
class FileChanged:
    """The file is not what it was when it was seen stable: it has to become stable again."""

    file: File


@dataclass(frozen=True, slots=True)
class FileGone:
    """Benign: it is no longer there. From the Scanner: one that was let go, and that it cannot report again."""

    file: File


@dataclass(frozen=True, slots=True)
class FileTroubled:
    """NFS or the staging disk gave an error. The file is safe where it is, and is tried again."""

    file: File
    error: str


# --- Uploader --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContainerReady:
    """The container is there, and its service took our credentials."""


@dataclass(frozen=True, slots=True)
class ContainerRefused:
    reason: str


@dataclass(frozen=True, slots=True)
class ClockMeasured:
    """What Azure's clock says, from the `Date` of an answer. Both are in seconds."""

    azure: float  # since the epoch
    at: float  # CLOCK_MONOTONIC, when the answer came


@dataclass(frozen=True, slots=True)
class Upload:
    """To Uploader: send what is staged of the file, while it is being staged."""

    file: FileRef
    fingerprint: Fingerprint
    staged: bool = False  # all of it is already
    #: An earlier life or attempt may have sent it already, so the blob is looked at before anything is sent.
    look_first: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Abandon:
    """To Uploader: forget the file."""

    file: FileRef


@dataclass(frozen=True, slots=True)
class SetUploads:
    """To Uploader: how much may be sent."""

    bytes_per_s: int | None
    paused: bool


@dataclass(frozen=True, slots=True)
class UploadBegun:
    file: FileRef
    attempt: int


@dataclass(frozen=True, slots=True)
class UploadGrew:
    file: FileRef
    held: int  # bytes of the file that Azure holds
    left: int  # the same, and what has left in requests that are not answered yet
    sent: int  # bytes that have left since the last message of this kind
    resent: int  # of these, bytes that had left before
    blocks: int = 0  # that Azure has taken since


@dataclass(frozen=True, slots=True)
class UploadFailed:
    file: FileRef
    attempt: int
    error: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class StagedCopyBad:
    """The staged copy is not what was read from NFS, or is not there any more."""

    file: FileRef
    reason: str


@dataclass(frozen=True, slots=True)
class FileUploaded:
    """The blob is committed, and its size and CRC64 as read back are those of the file as it was read from NFS."""

    file: FileRef
    fingerprint: Fingerprint
    seconds: float  # from the first attempt to the verified blob
    overwrote: bool  # a blob of that name with other content was there
    committed_at: float = field(default=0.0, compare=False)  # when it was in Azure, and only to be read back (seconds, CLOCK_MONOTONIC)
    attempts: int = field(default=1, compare=False)
    crc64: str = field(default="", compare=False)  # of the file, as the blob's metadata has it
    request_id: str | None = field(default=None, compare=False)  # Azure's, of the commit; None: an earlier life had sent it


# --- Collector -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Complete:
    """To Collector: mark the file as sent and delete it."""

    file: FileRef
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Unstage:
    """To Collector: remove the staged copy, others need the room."""

    file: FileRef


@dataclass(frozen=True, slots=True)
class FileCompleted:
    """Nothing of the file is left on NFS."""

    file: FileRef
    marked_at: float | None = field(default=None, compare=False)  # when it was `.completed` (seconds, CLOCK_MONOTONIC); None: it was before


@dataclass(frozen=True, slots=True)
class Unstaged:
    """Nothing of the file is left in staging."""

    file: FileRef


# --- Signals: about the actor, not about a file ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The actor takes messages."""


@dataclass(frozen=True, slots=True)
class Done:
    """The actor has finished with the message of this number; what followed from it was told before."""

    number: int

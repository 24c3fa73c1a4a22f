"""The Claimer takes stable files out of `incoming` and stages them, APP_WORKERS at a time. A child process."""

import logging
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from nfsw.actors.actor import Actor, Tell
from nfsw.actors.call_board import CallBoard
from nfsw.actors.claim import ClaimedFile, NotClaimed, claim, finish, restore, tidy
from nfsw.actors.config import ClaimerConfig
from nfsw.actors.envelope import Message, Reply
from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
from nfsw.actors.logs import about
from nfsw.actors.messages import (
    Changed,
    Claimed,
    DisplacedFile,
    DisplacedSeenTo,
    Failed,
    Gone,
    NameTaken,
    Outage,
    RestoreDisplaced,
    Staged,
    StageFile,
    StagingFound,
    StagingProgress,
    StillOpen,
)
from nfsw.actors.nfs import LinkInTheWay, Nfs, describe, is_gone
from nfsw.actors.staging import SourceChanged, Stager, StagingDiskTroubled
from nfsw.actors.staging_folder import forget_older_releases, staged_files
from nfsw.actors.tree import NfsTree, StagingTree

log = logging.getLogger("nfsw.claimer")


class Claimer(Actor):
    def __init__(self, config: ClaimerConfig, board: CallBoard) -> None:
        self.capacity = config.workers
        self._nfs = Nfs(NfsTree(config.nfs_root, config.done_suffix), board)
        self._staging = StagingTree(config.staging_dir)
        self._stager = Stager(self._nfs, self._staging, config.block_size, content_md5=config.content_md5)
        self._instance_id = uuid.uuid4().hex
        self._tidied: set[str] = set()  # sessions
        self._no_links: set[str] = set()  # folders for claimed files that are none
        self._not_restored: dict[DisplacedFile, str] = {}  # why, the last time

    def on_start(self, tell: Tell) -> None:
        """What lies in staging counts against its limit, whoever left it there."""
        forget_older_releases(self._staging)
        for date, session, name, size in staged_files(self._staging):
            tell(StagingFound(FileRef(date, session, name).for_message(), size))

    def on_message(self, message: Message, tell: Tell) -> Reply | None:
        match message:
            case StageFile():
                return self._claim_and_stage(message, tell)
            case RestoreDisplaced(displaced):
                self._restore(displaced)
                return DisplacedSeenTo()
        return None

    def _restore(self, displaced: DisplacedFile) -> None:
        """Each scan finds one that stays displaced, and has it tried again; each reason is logged once."""
        try:
            restore(self._nfs, displaced, _today())
        except OSError as error:
            reason = describe(error)
            if self._not_restored.get(displaced) != reason:
                extra = about(displaced.session, displaced.name, "restore")
                log.warning("cannot return the name to incoming: %s", reason, extra=extra)
            self._not_restored[displaced] = reason
        else:
            self._not_restored.pop(displaced, None)

    def _claim_and_stage(self, job: StageFile, tell: Tell) -> Reply:
        file = job.file
        try:
            if file.session not in self._tidied:
                self._tidied.add(file.session)
                tidy(self._nfs, file.session, self._instance_id)
            if isinstance(file, FileRef):
                outcome = finish(self._nfs, file, job.version, self._instance_id, leased=job.leased)
                claimed = file
            else:
                claimed = FileRef(_today(), file.session, file.name)
                if self._is_behind_link(file):
                    return Gone()  # to the Scanner as well, which says so
                self._refuse_links(claimed)
                outcome = claim(self._nfs, claimed, job.version, self._instance_id, leased=job.leased, marker=job.marker)
                if isinstance(outcome, ClaimedFile):
                    log.info("claimed", extra=about(file.session, file.name, "claim"))
                    tell(Claimed(claimed, outcome.version))
            match outcome:
                case ClaimedFile(version, True):
                    return self._stage(claimed, version, tell, restage=job.restage)
                case NotClaimed.GONE:
                    return Gone()
                case NotClaimed.CHANGED:
                    return Changed()
                case NotClaimed.TAKEN:
                    return NameTaken()
                case ClaimedFile() | NotClaimed.OPEN:
                    extra = about(file.session, file.name, "claim")
                    log.info("somebody has it open for writing: it is taken once it is closed", extra=extra)
                    return StillOpen()
        except OSError as error:
            return self._failed(file, error)

    def _is_behind_link(self, file: Arrival) -> bool:
        """Whether a writer has put a symbolic link in place of a folder since the Scanner looked into it."""
        try:
            for folder in _inner_folders(self._nfs.tree.incoming(file.session), file.name):
                self._nfs.refuse_link(folder)
        except LinkInTheWay:
            return True
        return False

    def _refuse_links(self, file: FileRef) -> None:
        """What is claimed through a symbolic link would never be found again. A session's folder is looked at once. Raises LinkInTheWay."""
        tree = self._nfs.tree
        folder = tree.claimed(file.date, file.session)
        if folder not in self._no_links:
            for path in (tree.processing, tree.day(file.date), folder):
                self._nfs.refuse_link(path)
            self._no_links.add(folder)
        for path in _inner_folders(folder, file.name):
            self._nfs.refuse_link(path)

    def _stage(self, file: FileRef, version: Fingerprint, tell: Tell, *, restage: bool) -> Reply:
        def grew(staged: int) -> None:
            if 0 < staged < version.size:  # the reply says that there is nothing yet, or all
                tell(StagingProgress(staged))

        try:
            if restage:
                self._stager.discard(file)
            self._stager.stage(file, version, grew)
        except SourceChanged:
            log.info("changed since it was seen stable, will be staged again", extra=about(file.session, file.name, "stage"))
            return Changed()
        except StagingDiskTroubled as trouble:
            log.error("cannot stage: %s", trouble, extra=about(file.session, file.name, "stage"))
            return Failed(str(trouble), Outage.STAGING, unstaged=trouble.full and self._make_room(file))
        except OSError as error:
            return self._failed(file, error)
        return Staged()

    def _make_room(self, file: FileRef) -> bool:
        """Parts of several files must not fill the disk for good, when each of them alone would fit. What Azure has is not sent again."""
        try:
            self._stager.discard(file)
        except StagingDiskTroubled as trouble:
            log.error("cannot remove the staged copy: %s", trouble, extra=about(file.session, file.name, "evict"))
            return False
        return True

    def _failed(self, file: File, error: OSError) -> Reply:
        if is_gone(error):
            return Gone()
        log.error("NFS error: %s; the file is tried again", describe(error), extra=about(file.session, file.name, "stage"))
        return Failed(f"NFS: {describe(error)}", Outage.NFS)


def _inner_folders(top: str, name: str) -> Iterator[str]:
    """The folders on the way from `top` to the file `name` in it."""
    for folder in name.split("/")[:-1]:
        top = f"{top}/{folder}"
        yield top


def _today() -> str:
    return f"{datetime.now(UTC):%Y%m%d}"

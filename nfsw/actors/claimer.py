"""The Claimer takes stable files out of `incoming` and stages them, APP_WORKERS at a time. A child process."""

import logging
import uuid
from datetime import UTC, datetime

from nfsw.actors.actor import Actor, Tell
from nfsw.actors.board import Board
from nfsw.actors.claim import Claim, claim, finish, put_back, tidy
from nfsw.actors.config import ClaimerConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import Arrival, FileRef, Fingerprint
from nfsw.actors.logs import about
from nfsw.actors.messages import (
    FileChanged,
    FileClaimed,
    FileGone,
    FileStaged,
    FileTroubled,
    NameAside,
    NameTaken,
    PutBack,
    StagingBegun,
    StagingFound,
    StagingGrew,
    Take,
    Unstaged,
)
from nfsw.actors.nfs import Nfs, is_gone, said
from nfsw.actors.staging import SourceChanged, Stager, StagingDiskTroubled, staged_files
from nfsw.actors.tree import NfsTree, StagingTree

log = logging.getLogger("nfsw.claimer")


class Claimer(Actor):
    def __init__(self, config: ClaimerConfig, board: Board) -> None:
        self.capacity = config.workers
        self._nfs = Nfs(NfsTree(config.nfs_root), board)
        self._staging = StagingTree(config.staging_dir)
        self._stager = Stager(self._nfs, self._staging, config.block_size)
        self._incarnation = uuid.uuid4().hex
        self._tidied: set[str] = set()  # sessions
        self._kept_aside: dict[NameAside, str] = {}  # names that could not be returned, and why

    def on_start(self, tell: Tell) -> None:
        """What lies in staging counts against its limit, whoever left it there."""
        for date, session, name, size in staged_files(self._staging):
            tell(StagingFound(FileRef(date, session, name), size))

    def on_message(self, message: Message, tell: Tell) -> None:
        match message:
            case Take(file, fingerprint, afresh):
                try:
                    if file.session not in self._tidied:
                        self._tidied.add(file.session)
                        tidy(self._nfs, file.session, self._incarnation)
                    claimed = self._claimed(file, fingerprint, tell)
                    if claimed:
                        self._stage(claimed, fingerprint, tell, afresh=afresh)
                except OSError as error:
                    self._trouble(file, error, tell)
            case PutBack(aside):
                try:
                    put_back(self._nfs, aside, _today())
                except OSError as error:
                    self._keep_aside(aside, said(error))
                else:
                    self._kept_aside.pop(aside, None)

    def _keep_aside(self, aside: NameAside, reason: str) -> None:
        """Each scan finds it and has it tried again; each reason is said once."""
        if self._kept_aside.get(aside) != reason:
            log.warning("cannot return the name to incoming: %s", reason, extra=about(aside.session, aside.name, "put-back"))
        self._kept_aside[aside] = reason

    def _claimed(self, file: Arrival | FileRef, fingerprint: Fingerprint, tell: Tell) -> FileRef | None:
        """The file under its name in `.processing`; None when it has no such name, and then the reason was told."""
        match file:
            case FileRef():
                seen = self._nfs.observe(self._nfs.tree.source(file))
                if seen is None:
                    tell(FileGone(file))
                    return None
                finish(self._nfs, file, seen, self._incarnation)
                return file
            case Arrival(session, name):
                target = FileRef(_today(), session, name)
                match claim(self._nfs, target, fingerprint, self._incarnation):
                    case Claim.CLAIMED:
                        log.info("claimed", extra=about(session, name, "claim"))
                        tell(FileClaimed(file, target))
                        return target
                    case Claim.TAKEN:
                        tell(NameTaken(file))
                    case Claim.CHANGED:
                        tell(FileChanged(file))
                    case Claim.GONE:
                        tell(FileGone(file))
                return None

    def _stage(self, file: FileRef, fingerprint: Fingerprint, tell: Tell, *, afresh: bool) -> None:
        begun = False

        def grew(staged: int) -> None:
            nonlocal begun
            if not begun:
                tell(StagingBegun(file, fingerprint))
            begun = True
            tell(StagingGrew(file, staged))

        try:
            if afresh:
                self._stager.discard(file)
            self._stager.stage(file, fingerprint, grew)
        except SourceChanged:
            log.info("changed since it was seen stable, will be staged again", extra=about(file.session, file.name, "stage"))
            tell(FileChanged(file))
        except StagingDiskTroubled as trouble:
            log.error("cannot stage: %s", trouble, extra=about(file.session, file.name, "stage"))
            tell(FileTroubled(file, str(trouble)))
            if trouble.full:
                self._make_room(file, tell)
        except OSError as error:
            self._trouble(file, error, tell)
        else:
            tell(FileStaged(file))

    def _make_room(self, file: FileRef, tell: Tell) -> None:
        """Parts of several files must not fill the disk for good, when each of them alone would fit. What Azure has is not sent again."""
        try:
            self._stager.discard(file)
        except StagingDiskTroubled as trouble:
            log.error("cannot stage: %s", trouble, extra=about(file.session, file.name, "unstage"))
        else:
            tell(Unstaged(file))

    def _trouble(self, file: Arrival | FileRef, error: OSError, tell: Tell) -> None:
        if is_gone(error):
            tell(FileGone(file))
            return
        log.error("NFS would not let us: %s", said(error), extra=about(file.session, file.name, "take"))
        tell(FileTroubled(file, f"NFS: {said(error)}"))


def _today() -> str:
    return f"{datetime.now(UTC):%Y%m%d}"

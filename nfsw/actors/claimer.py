"""The Claimer takes stable files out of `incoming` and stages them, APP_WORKERS at a time. A child process."""

import logging
import uuid
from datetime import UTC, datetime

from nfsw.actors.actor import Actor, Tell
from nfsw.actors.board import Board
from nfsw.actors.claim import Claimed, NotClaimed, claim, finish, put_back, tidy
from nfsw.actors.config import ClaimerConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import Arrival, File, FileRef, Fingerprint
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
from nfsw.actors.staging import SourceChanged, Stager, StagingDiskTroubled
from nfsw.actors.staging_folder import forget_older_releases, staged_files
from nfsw.actors.tree import NfsTree, StagingTree

log = logging.getLogger("nfsw.claimer")


class Claimer(Actor):
    def __init__(self, config: ClaimerConfig, board: Board) -> None:
        self.capacity = config.workers
        self._nfs = Nfs(NfsTree(config.nfs_root), board)
        self._staging = StagingTree(config.staging_dir)
        self._stager = Stager(self._nfs, self._staging, config.block_size, content_md5=config.content_md5)
        self._incarnation = uuid.uuid4().hex
        self._tidied: set[str] = set()  # sessions
        self._no_links: set[str] = set()  # folders for claimed files that are none
        self._kept_aside: dict[NameAside, str] = {}  # names that could not be returned, and why

    def on_start(self, tell: Tell) -> None:
        """What lies in staging counts against its limit, whoever left it there."""
        forget_older_releases(self._staging)
        for date, session, name, size in staged_files(self._staging):
            tell(StagingFound(FileRef(date, session, name), size))

    def on_message(self, message: Message, tell: Tell) -> None:
        match message:
            case Take(file, fingerprint, afresh, leased):
                try:
                    if file.session not in self._tidied:
                        self._tidied.add(file.session)
                        tidy(self._nfs, file.session, self._incarnation)
                    if isinstance(file, Arrival):
                        self._claim(file, fingerprint, tell, leased=leased)
                    else:
                        self._take_up(file, fingerprint, tell, afresh=afresh, leased=leased)
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

    def _claim(self, arrival: Arrival, expected: Fingerprint, tell: Tell, *, leased: bool) -> None:
        """Takes the file out of `incoming`, and stages it unless it has changed meanwhile, or is open."""
        file = FileRef(_today(), arrival.session, arrival.name)
        self._refuse_links(file)
        match claim(self._nfs, file, expected, self._incarnation, leased=leased):
            case Claimed(baseline, stable):
                log.info("claimed", extra=about(arrival.session, arrival.name, "claim"))
                tell(FileClaimed(arrival, file, baseline))
                if stable:
                    self._stage(file, baseline, tell, afresh=False)
                else:
                    self._wait_for_writer(file, tell)
            case NotClaimed.TAKEN:
                tell(NameTaken(arrival))
            case NotClaimed.CHANGED:
                tell(FileChanged(arrival))
            case NotClaimed.OPEN:
                self._wait_for_writer(arrival, tell)
            case NotClaimed.GONE:
                tell(FileGone(arrival))

    def _take_up(self, file: FileRef, expected: Fingerprint, tell: Tell, *, afresh: bool, leased: bool) -> None:
        """Stages a file that was claimed before, once its claim is whole."""
        match finish(self._nfs, file, expected, self._incarnation, leased=leased):
            case Claimed(baseline, True):
                self._stage(file, baseline, tell, afresh=afresh)
            case NotClaimed.GONE:
                tell(FileGone(file))
            case Claimed() | NotClaimed.OPEN:
                self._wait_for_writer(file, tell)
            case _:
                tell(FileChanged(file))

    def _wait_for_writer(self, file: File, tell: Tell) -> None:
        log.info("somebody has it open for writing: it is taken once it is closed", extra=about(file.session, file.name, "claim"))
        tell(FileChanged(file))

    def _refuse_links(self, file: FileRef) -> None:
        """What is claimed through a symbolic link would never be found again. Looked at once for each folder. Raises LinkInTheWay."""
        tree = self._nfs.tree
        folder = tree.claimed(file.date, file.session)
        if folder in self._no_links:
            return
        for path in (tree.processing, tree.day(file.date), folder):
            self._nfs.refuse_link(path)
        self._no_links.add(folder)

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

    def _trouble(self, file: File, error: OSError, tell: Tell) -> None:
        if is_gone(error):
            tell(FileGone(file))
            return
        log.error("NFS error: %s; the file is tried again", said(error), extra=about(file.session, file.name, "take"))
        tell(FileTroubled(file, f"NFS: {said(error)}"))


def _today() -> str:
    return f"{datetime.now(UTC):%Y%m%d}"

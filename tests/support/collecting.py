"""A Collector of a pod that holds session `s`, and a file that was sent: claimed, staged, and verified in Azure."""

import pytest

from nfsw.actors.call_board import CallBoard
from nfsw.actors.collector import Collector
from nfsw.actors.config import CollectorConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.messages import Changed, CompleteFile, DiskMeasured, RuleFound, WatchedSessions
from nfsw.actors.nfs import Nfs
from nfsw.actors.stability import Rule
from nfsw.actors.staging import Stager
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.mortal_nfs import EventfulNfs
from tests.support.share import DATE, Share, fingerprint
from tests.support.told import Told, passed
from tests.support.watching import AGE_S, WRITEBACK_AGE_S

FILE = FileRef(DATE, "s", "a")
SENT = b"the bytes that were sent"


class Collecting:
    def __init__(
        self,
        share: Share,
        tree: NfsTree,
        staging: StagingTree,
        board: CallBoard,
        monkeypatch: pytest.MonkeyPatch,
        *,
        recursive: bool = False,
        keep_s: float = 0.0,
    ) -> None:
        self._recursive = recursive
        self.keep_s = keep_s
        self.share, self.staging = share, staging
        self._tree, self._board, self._monkeypatch = tree, board, monkeypatch
        self.rule: Rule | None = Rule.LEASE
        #: What the last sweep said of the disks.
        self.measured: list[DiskMeasured] = []
        self.restart()

    def restart(self) -> None:
        """Another process of it."""
        self.nfs = EventfulNfs(self._tree, self._board)
        self._monkeypatch.setattr("nfsw.actors.collector.Nfs", lambda *_: self.nfs)
        config = CollectorConfig(
            self._tree.root,
            self.staging.root,
            30.0,
            2,
            self.keep_s,
            recursive=self._recursive,
            min_file_age_s=AGE_S,
            writeback_age_s=WRITEBACK_AGE_S,
        )
        self.collector = Collector(config, self._board)
        self.hold("s")
        if self.rule:
            self.hear(RuleFound(self.rule, "by a test"))

    def hold(self, *sessions: str, recorded: tuple[str, ...] = ("s",)) -> None:
        self.hear(WatchedSessions(None, frozenset(sessions), frozenset(recorded)))

    def hear(self, message: Message) -> Told:
        """Returns what was told, and the reply at the end."""
        told = Told()
        if reply := self.collector.on_message(passed(message), told):
            told(reply)
        return told

    def complete(self, sent: Fingerprint) -> Told:
        """Asked again and again, as the main process does: a file that was given back is staged, and found in Azure, before that."""
        told = self.hear(CompleteFile(FILE, sent))
        while told[-1] == Changed():
            assert self.share.files() == {f".processing/{DATE}/s/a": SENT}
            told = self.hear(CompleteFile(FILE, fingerprint(self.share.claimed("a"))))
        return told

    def sweep(self) -> Told:
        """What was told, but for the room on the disks."""
        told = Told()
        self.collector.on_tick(told)
        self.measured = told.of(DiskMeasured)
        return Told(message for message in told if message not in self.measured)

    def sent(self, file: FileRef = FILE, content: bytes = SENT) -> Fingerprint:
        fingerprint = self.share.written(self.share.claimed(file.name, file.session, file.date), content)
        Stager(Nfs(self._tree, self._board), self.staging, 1000, content_md5=False).stage(file, fingerprint, lambda _: None)
        return fingerprint

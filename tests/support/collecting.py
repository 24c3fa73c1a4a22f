"""A Collector of a pod that holds session `s`, and a file that was sent: claimed, staged, and verified in Azure."""

import pytest

from nfsw.actors.board import Board
from nfsw.actors.collector import Collector
from nfsw.actors.config import CollectorConfig
from nfsw.actors.envelope import Message
from nfsw.actors.files import FileRef, Fingerprint
from nfsw.actors.messages import Complete, FileChanged, RuleFound, Watch
from nfsw.actors.nfs import Nfs
from nfsw.actors.stability import Rule
from nfsw.actors.staging import Stager
from nfsw.actors.tree import NfsTree, StagingTree
from tests.support.mortal_nfs import EventfulNfs
from tests.support.share import DATE, Share, fingerprint
from tests.support.told import Told

FILE = FileRef(DATE, "s", "a")
SENT = b"the bytes that were sent"


class Collecting:
    def __init__(self, share: Share, tree: NfsTree, staging: StagingTree, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
        self.share, self.staging = share, staging
        self._tree, self._board, self._monkeypatch = tree, board, monkeypatch
        self.rule: Rule | None = Rule.LEASE
        self.live()

    def live(self) -> None:
        """Another life of it."""
        self.nfs = EventfulNfs(self._tree, self._board)
        self._monkeypatch.setattr("nfsw.actors.collector.Nfs", lambda *_: self.nfs)
        self.collector = Collector(CollectorConfig(self._tree.root, self.staging.root, 30.0, 2), self._board)
        self.hold("s")
        if self.rule:
            self.hear(RuleFound(self.rule, "by a test"))

    def hold(self, *sessions: str, recorded: tuple[str, ...] = ("s",)) -> None:
        self.hear(Watch(None, frozenset(sessions), frozenset(recorded)))

    def hear(self, message: Message) -> Told:
        told = Told()
        self.collector.on_message(message, told)
        return told

    def complete(self, sent: Fingerprint) -> Told:
        """Told again and again, as the main process does: a file that was given back is staged, and found in Azure, before that."""
        told = self.hear(Complete(FILE, sent))
        while told[-1] == FileChanged(FILE):
            assert self.share.files() == {f".processing/{DATE}/s/a": SENT}
            told = self.hear(Complete(FILE, fingerprint(self.share.claimed("a"))))
        return told

    def sweep(self) -> Told:
        told = Told()
        self.collector.on_tick(told)
        return told

    def sent(self, file: FileRef = FILE, content: bytes = SENT) -> Fingerprint:
        fingerprint = self.share.written(self.share.claimed(file.name, file.session, file.date), content)
        Stager(Nfs(self._tree, self._board), self.staging, 1000, content_md5=False).stage(file, fingerprint, lambda _: None)
        return fingerprint

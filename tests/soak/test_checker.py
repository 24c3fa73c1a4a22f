"""The checker finds what is lost, what differs and what is stuck, and complains of nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.blobs import Container
from tests.support.content import Content
from tools.soak import checker as checkers
from tools.soak.book import Book, State, Version
from tools.soak.checker import Checker

NAME = ("s", "a.bin")
BYTES = b"the bytes of a version"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing moves here, so nothing is missed by a look."""
    monkeypatch.setattr(checkers, "_BETWEEN_S", 0.0)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    own = Book(tmp_path / "journal")
    yield own
    own.close()


@pytest.fixture
def checker(tmp_path: Path, book: Book) -> Checker:
    return Checker(tmp_path / "share", book, lambda _: None, lambda: None)


def finished(book: Book, path: Path, content: bytes = BYTES) -> Version:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    version = book.begin(NAME, Content.of([content]), path.stat().st_ino, "test")
    book.finish(version)
    return version


@pytest.mark.parametrize(
    "place", ["incoming/s/a.bin", ".processing/20260131/s/a.bin", ".processing/20260131/s/a.bin.completed", ".nfsw/aside/s/1/a.bin"]
)
def test_a_version_is_safe_anywhere_on_the_share(checker: Checker, book: Book, place: str) -> None:
    finished(book, checker.share / place)
    checker.look()
    assert not checker.lost
    assert not checker.differing


def test_a_version_that_is_nowhere_is_lost(checker: Checker, book: Book) -> None:
    path = checker.share / "incoming/s/a.bin"
    version = finished(book, path)
    path.unlink()
    checker.look()
    checker.look()
    assert checker.lost == [version], "once"


def test_another_file_in_its_place_does_not_stand_for_it(checker: Checker, book: Book) -> None:
    path = checker.share / "incoming/s/a.bin"
    version = finished(book, path)
    other = path.with_name("other")
    other.write_bytes(BYTES)
    other.replace(path)
    checker.look()
    assert checker.lost == [version]


def test_bytes_that_are_not_the_writers_are_found(checker: Checker, book: Book) -> None:
    path = checker.share / "incoming/s/a.bin"
    finished(book, path)
    checker.look()
    with path.open("r+b") as file:
        file.write(b"T")
    os.utime(path)
    checker.look()
    assert checker.differing


@pytest.mark.parametrize("state", [State.TAKEN_BACK, State.OVERTAKEN, State.WRITING])
def test_what_nobody_may_rely_on_is_not_missed(checker: Checker, book: Book, state: State) -> None:
    path = checker.share / "incoming/s/a.bin"
    version = finished(book, path)
    book.set(version, state)
    path.unlink()
    checker.look()
    assert not checker.lost


def test_what_was_committed_may_go(checker: Checker, book: Book) -> None:
    path = checker.share / "incoming/s/a.bin"
    finished(book, path).committed = True
    path.unlink()
    checker.look()
    assert not checker.lost


def test_in_the_end_the_last_version_of_each_name_is_compared(checker: Checker, book: Book, container: Container) -> None:
    container.make()
    older, newer = b"older", b"newer"
    for number, content in enumerate((older, newer)):
        finished(book, checker.share / f"incoming/s/{number}", content).committed = True
    container.put("20260131/s/a.bin", newer, stated_md5=Content.of([newer]).md5)
    assert checker.compare(container) == 1
    assert not checker.differing
    container.put("20260131/s/a.bin", older, stated_md5=Content.of([older]).md5)
    checker.compare(container)
    assert len(checker.differing) == 1


def test_in_the_end_a_wrong_stated_md5_differs(checker: Checker, book: Book, container: Container) -> None:
    container.make()
    finished(book, checker.share / "incoming/s/a.bin").committed = True
    container.put("20260131/s/a.bin", BYTES, stated_md5=Content.of([b"other bytes"]).md5)
    checker.compare(container)
    assert checker.differing


def test_in_the_end_what_is_not_in_azure_is_stuck_or_lost(checker: Checker, book: Book, container: Container) -> None:
    container.make()
    path = checker.share / "incoming/s/a.bin"
    version = finished(book, path)
    checker.compare(container)
    assert (checker.stuck, checker.lost) == ([version], [])
    path.unlink()
    checker.compare(container)
    assert checker.lost == [version]


def test_a_blob_that_nobody_wrote_differs(checker: Checker, container: Container) -> None:
    container.make()
    container.put("20260131/s/strange.bin", BYTES, stated_md5=Content.of([BYTES]).md5)
    checker.compare(container)
    assert checker.differing

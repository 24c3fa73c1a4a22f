"""Abandoned files as the Scanner sees them: refused, never reported, and not in the way of their session's end."""

from unittest.mock import ANY

import pytest

from nfsw.actors.abandoned import abandon
from nfsw.actors.files import FileRef
from nfsw.actors.messages import FileRefused, FileStable, RefusalLifted, ReportAgain
from nfsw.actors.nfs import Nfs
from tests.support.share import DATE, Share
from tests.support.watching import AGE_S, LARGEST, POLL_S, Watching

SOON = AGE_S + 2 * POLL_S
A = FileRef(DATE, "s", "a")
REFUSED = FileRefused(A, "abandoned: no", abandoned=True)


def has_files(watching: Watching) -> list[bool]:
    return [session.files for session in watching.looked()]


def test_an_abandoned_file_is_refused_and_does_not_keep_its_session(watching: Watching, share: Share, nfs: Nfs) -> None:
    share.written(share.claimed("a"))
    abandon(nfs, A, "no")
    assert watching.ticks(SOON) == [REFUSED]
    assert has_files(watching) == [False]
    share.written(share.claimed("b"))
    assert watching.stable(SOON) == ["b"]
    assert has_files(watching) == [True], "another one does"


def test_a_file_that_is_abandoned_while_it_is_in_hand_is_not_reported_again(watching: Watching, share: Share, nfs: Nfs) -> None:
    share.written(share.claimed("a"))
    assert watching.stable(SOON) == ["a"]
    abandon(nfs, A, "no")
    watching.hear(ReportAgain(A))
    assert watching.ticks(SOON) == [REFUSED], "it is not gone either"


def test_one_that_was_refused_already_is_listed_with_the_new_reason(watching: Watching, share: Share, nfs: Nfs) -> None:
    share.written(share.claimed("a"), bytes(LARGEST + 1))
    (too_large,) = watching.ticks(60)
    assert isinstance(too_large, FileRefused)
    abandon(nfs, A, "no")
    assert watching.tick() == [RefusalLifted(A), REFUSED], "in this order, or it would not be listed"
    assert has_files(watching) == [False]


def test_without_its_note_it_is_a_file_like_any_other(watching: Watching, share: Share, nfs: Nfs) -> None:
    version = share.written(share.claimed("a"))
    abandon(nfs, A, "no")
    watching.ticks(SOON)
    (share.root / f".nfsw/abandoned/{DATE}/s/a").unlink()
    assert watching.ticks(SOON) == [RefusalLifted(A), FileStable(A, version, ANY, leased=True)]
    assert has_files(watching) == [True]


def test_one_whose_name_cannot_be_sent_is_refused_for_that_again(watching: Watching, share: Share, nfs: Nfs) -> None:
    odd = FileRef(DATE, "s", "a.")
    share.written(share.claimed("a."))
    abandon(nfs, odd, "no")
    watching.tick()
    (share.root / f".nfsw/abandoned/{DATE}/s/a.").unlink()
    lifted, again = watching.tick()
    assert lifted == RefusalLifted(odd)
    assert isinstance(again, FileRefused)
    assert not again.abandoned


def test_it_stays_listed_when_its_session_is_nobodys_and_does_not_make_it_one_with_files(
    watching: Watching, share: Share, nfs: Nfs
) -> None:
    share.written(share.claimed("a"))
    abandon(nfs, A, "no")
    watching.tick()
    watching.watch(None)
    assert watching.told.taken() == []
    assert watching.tick() == []
    assert has_files(watching) == [False]
    share.claimed("a").unlink()
    assert watching.tick() == [RefusalLifted(A)]


@pytest.mark.parametrize(("name", "in_the_way"), [(".note", False), (".nfs0001", True), ("a.completed", True)])
@pytest.mark.parametrize("held", [True, False])
def test_a_hidden_file_is_in_nobodys_way_unless_nfs_hid_it(
    watching: Watching, share: Share, name: str, in_the_way: bool, held: bool
) -> None:
    """Nobody would ever take it, and the session would never end."""
    share.written(share.claimed(name))
    watching.watch("s" if held else None)
    watching.tick()
    assert has_files(watching) == [in_the_way]

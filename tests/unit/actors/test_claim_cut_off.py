"""Killed, answered with errors or overtaken by a writer at each of its calls, a claim loses nothing and doubles nothing.

`drained` is what the service does about it: names left displaced are restored, cut-off claims are finished, arrivals are claimed,
and each claimed file is sent and deleted. What it returns must be every version that was written, once, in their order: the
last writer wins.
"""

import contextlib
import itertools
from collections.abc import Iterator
from functools import partial

import pytest

from nfsw.actors.claim import claim
from nfsw.actors.files import FileRef
from tests.support.claiming import FILE, LINK, RENAME, Scene, Scenes, claimed, drained, recover, with_folders
from tests.support.mortal_nfs import ERRORS, EventfulNfs, Happening, Killed, killed, refused
from tests.support.share import Share, fingerprint

#: More than a claim makes, its folders included.
CALLS = 24
NEXT_DAY = "20260201"


def each_call(scenes: Scenes, happening: Happening, *, after: bool = False) -> Iterator[Scene]:
    """A scene for each call of a claim, at which this happens."""
    for number in range(CALLS):
        share, nfs = scenes()
        (nfs.after if after else nfs.before)[number] = happening
        yield share, nfs


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_the_file_is_sent_once(scenes: Scenes, after: bool) -> None:
    deaths = 0
    for share, nfs in each_call(scenes, killed, after=after):
        try:
            claimed(share, nfs)
        except Killed:
            deaths += 1
        assert drained(share, nfs) == [b"first"]
    assert 6 <= deaths < CALLS


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_just_before_midnight_the_file_is_claimed_for_one_day_alone(scenes: Scenes, after: bool) -> None:
    """The claim is made again, for the day that has begun."""
    for share, nfs in each_call(scenes, killed, after=after):
        with contextlib.suppress(Killed):
            claimed(share, nfs)
        nfs.before, nfs.after = {}, {}
        if share.incoming("a").exists():
            claim(nfs, FileRef(NEXT_DAY, "s", "a"), fingerprint(share.incoming("a")), "2", leased=True)
        names = [path for path in share.files() if path.startswith(".processing/")]
        assert len(names) <= 1, "it would be sent for each of them"
        if names == [f".processing/{NEXT_DAY}/s/a"]:
            with_folders(share)
            share.claimed("a", date=NEXT_DAY).rename(share.claimed("a"))
        assert drained(share, nfs) == [b"first"]


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("after", [False, True])
def test_an_error_at_any_call_loses_nothing(scenes: Scenes, code: int, after: bool) -> None:
    """`after`: the call was done, and its answer was lost."""
    errors = 0
    for share, nfs in each_call(scenes, refused(code), after=after):
        try:
            claimed(share, nfs)
        except OSError:
            errors += 1
        assert drained(share, nfs) == [b"first"]
    assert errors


class Writer:
    """Moves new versions into place."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self.versions = [b"first"]
        self.undone: list[bytes] = []  # replaced by the writer itself before they were claimed: nobody need send them

    def replace(self) -> None:
        path = self._share.incoming("a")
        if path.exists() and not (path.read_bytes() == b"first" and path.stat().st_nlink > 1):
            self.undone.append(path.read_bytes())
        content = f"version {len(self.versions)}".encode() + b"." * len(self.versions)
        self._share.replaced(path, content)
        self.versions.append(content)


@pytest.mark.parametrize("second", [None, *range(1, 7)])
@pytest.mark.parametrize("death", [None, *range(8)])
@pytest.mark.parametrize("kind", ["ext4", "nfs4"])
def test_a_writer_that_replaces_the_name_at_any_call_loses_no_version(
    scenes: Scenes, second: int | None, death: int | None, kind: str
) -> None:
    """Once or twice, `second` calls later, with a claimer that is killed `death` calls later, or is not."""
    for number in range(12):
        share, nfs = scenes()
        with_folders(share)
        nfs.seen_as = kind
        writer = Writer(share)
        expected = fingerprint(share.incoming("a"))

        def happens(first: int = number, writer: Writer = writer, nfs: EventfulNfs = nfs) -> None:
            now = len(nfs.calls) - 1
            if now == first or (second is not None and now == first + second):
                writer.replace()
            if death is not None and now == first + death:
                raise Killed

        nfs.before = dict.fromkeys(range(50), happens)
        with contextlib.suppress(Killed):
            claim(nfs, FILE, expected, "1", leased=True)
        calls = list(nfs.calls)
        sent = drained(share, nfs)
        assert [version for version in writer.versions if version in sent or version not in writer.undone] == sent, (number, calls)


def replace(share: Share) -> None:
    share.replaced(share.incoming("a"), b"second one")


def test_killed_again_at_any_call_of_the_recovery_it_still_loses_nothing(scenes: Scenes) -> None:
    """After each kind of cut-off claim: a second name in incoming, a displaced name, and another file's displaced name."""
    for first, replaced in itertools.product((LINK + 1, RENAME + 1), (False, True)):
        deaths = 0
        for second in range(32):
            share, nfs = scenes()
            with_folders(share)
            if replaced:
                nfs.before[RENAME] = partial(replace, share)
            nfs.before[first] = killed
            with pytest.raises(Killed):
                claimed(share, nfs)
            if first <= RENAME and replaced:
                replace(share)
            nfs.before = {len(nfs.calls) + second: killed}
            try:
                recover(share, nfs, "2")
            except Killed:
                deaths += 1
            assert drained(share, nfs) == [b"first", b"second one"][: 1 + replaced], (first, replaced, second)
        assert 5 <= deaths < 32

"""Names of sessions and of files: what is taken, what is refused and why, and how a name is shown."""

import os
import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors.names import COMPLETED, LONGEST_BLOB_NAME, bad_session_name, is_wanted, printable, refusal

PREFIX = "20260131/s/"
NAME_MAX = 255
ALLOWED = string.ascii_letters + string.digits + "_-."


def file_names() -> st.SearchStrategy[str]:
    """Every name that a folder can hold, as Python has it: bytes that are no UTF-8 are surrogates."""
    odd = st.sampled_from([b"\n", b"\\", b".", b"..", b".completed", b"\xff", b"\xc3", b"\x7f", "\u202e".encode(), "\uffff".encode(), b" "])
    parts = st.lists(st.one_of(st.binary(max_size=40), odd, st.text(max_size=20).map(lambda t: t.encode("utf-8", "ignore"))), max_size=12)
    joined = parts.map(lambda parts: b"".join(parts).replace(b"/", b"").replace(b"\0", b"")[:NAME_MAX])
    return joined.filter(lambda name: name not in (b"", b".", b"..")).map(os.fsdecode)


@given(file_names())
def test_any_name_is_shown_in_one_printable_line(name: str) -> None:
    assert printable(name).isprintable()
    assert printable(name).encode()


@given(file_names())
def test_a_name_without_odd_characters_is_shown_as_it_is(name: str) -> None:
    assert (printable(name) == name) == name.isprintable()


@given(file_names())
def test_what_is_not_refused_is_a_blob_name_that_azure_keeps_as_it_is(name: str) -> None:
    if refusal(name, PREFIX, NAME_MAX) is not None:
        return
    blob = (PREFIX + name).encode()  # UTF-8, or this raises
    assert len(blob.decode("utf-8").encode("utf-16-le")) // 2 <= LONGEST_BLOB_NAME
    assert not name.endswith(".")
    assert "\\" not in name
    assert not any(unicodedata.category(character) == "Cc" for character in name)
    assert len(os.fsencode(name + COMPLETED)) <= NAME_MAX


@given(file_names())
def test_a_reason_is_one_printable_line(name: str) -> None:
    reason = refusal(name, PREFIX, NAME_MAX)
    assert reason is None or (reason and reason.isprintable())


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a.bin",
        "ä ö ü.mp4",
        "a%20b#c?d&e=f.bin",
        "emoji \N{GRINNING FACE}",
        " leading and trailing ",
        "-rf",
        "~",
        "a:b",
        "completed",
        ".b",
    ],
)
def test_ordinary_and_odd_names_are_taken(name: str) -> None:
    assert refusal(name, PREFIX, NAME_MAX) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.completed", "mark of a file that was sent"),
        (".completed", "mark of a file that was sent"),
        (os.fsdecode(b"\xff\xfe"), "not UTF-8"),
        (os.fsdecode("ä".encode("latin-1")), "not UTF-8"),
        ("a\nb", "control character"),
        ("a\x7f", "control character"),
        ("a\x85b", "control character"),
        ("a\\b", "backslash"),
        ("a.", "ends in a dot"),
        ("...", "ends in a dot"),
        ("a\uffffb", "Azure cannot hold"),
        ("a\U0001fffe", "Azure cannot hold"),
    ],
)
def test_a_name_that_azure_cannot_hold_is_refused_with_the_reason(name: str, reason: str) -> None:
    assert reason in (refusal(name, PREFIX, NAME_MAX) or "")


def test_a_name_is_refused_once_its_mark_would_not_fit_the_file_system() -> None:
    longest = NAME_MAX - len(COMPLETED)
    assert refusal("a" * longest, PREFIX, NAME_MAX) is None
    assert "256 bytes" in (refusal("a" * (longest + 1), PREFIX, NAME_MAX) or "")
    assert "bytes" in (refusal("ä" * (longest // 2 + 1), PREFIX, NAME_MAX) or ""), "bytes count, not characters"


def test_a_name_is_refused_once_its_blob_name_would_be_too_long() -> None:
    fits = LONGEST_BLOB_NAME - len(PREFIX)
    assert refusal("a" * fits, PREFIX, 4096) is None
    assert "1025 characters" in (refusal("a" * (fits + 1), PREFIX, 4096) or "")
    assert "characters" in (refusal("\N{GRINNING FACE}" * (fits // 2 + 1), PREFIX, 4096) or ""), "two UTF-16 units each"


@given(st.text(ALLOWED, min_size=1, max_size=128).filter(lambda name: not name.startswith(".") and not name.endswith(".")))
def test_every_session_name_of_the_contract_is_taken(name: str) -> None:
    assert bad_session_name(name) is None


@given(st.text(max_size=140))
def test_a_session_name_that_is_taken_is_one_of_the_contract(name: str) -> None:
    if bad_session_name(name) is None:
        assert 1 <= len(name) <= 128
        assert set(name) <= set(ALLOWED)
        assert not name.startswith(".")
        assert not name.endswith(".")


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a.", "a/b", "../a", "a b", "a\n", "ä", "a" * 129, "a\0"])
def test_a_bad_session_name_is_refused_in_words(name: str) -> None:
    assert bad_session_name(name)


def test_hidden_names_are_not_wanted_whatever_their_extension() -> None:
    assert not is_wanted(".nfs0000000000000001", ())
    assert not is_wanted(".a.bin", (".bin",))


def test_only_extensions_that_are_asked_for_are_wanted() -> None:
    assert is_wanted("a.bin", ())
    assert is_wanted("a.bin", (".mp4", ".bin"))
    assert not is_wanted("a.bin.tmp", (".mp4", ".bin"))
    assert is_wanted("A.BIN", (".mp4", ".bin"))
    assert is_wanted("a.Bin", (".bin",))
    assert not is_wanted("bin", (".bin",))

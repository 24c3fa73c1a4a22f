"""The manifest: what is written is read back, however it is cut off, and nothing else passes for it."""

import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nfsw.actors.files import Fingerprint
from nfsw.actors.manifest import (
    BadManifest,
    Block,
    BlockManifest,
    Checksums,
    ManifestReader,
    completed_line,
    manifest_bytes,
)

MIB = 1024 * 1024
#: statx(2) tells 64 bits of seconds.
TIMES = st.integers(-(2**63) * 10**9, 2**63 * 10**9)
FILES = st.builds(Fingerprint, st.integers(0, 5000), TIMES, st.integers(0, 2**64 - 1), TIMES)
WHOLES = st.builds(Checksums, st.integers(0, 2**64 - 1), st.none() | st.binary(min_size=16, max_size=16))
WHOLE = Checksums(2**64 - 2, b"m" * 16)


def checksum(number: int) -> int:
    return zlib.crc32(str(number).encode()) << 32 | number


def text_of(fingerprint: Fingerprint, block_size: int, whole: Checksums = WHOLE) -> tuple[BlockManifest, str]:
    """A whole manifest, and the file that it was written to."""
    manifest = BlockManifest(fingerprint, block_size)
    text = manifest.text()
    while manifest.staged < fingerprint.size:
        text += manifest.add(min(block_size, fingerprint.size - manifest.staged), checksum(len(manifest.blocks)))
    assert manifest.text() == text
    return manifest, text + manifest.finish(whole)


def line(content: str) -> str:
    """With its checksum."""
    return f"{content} {zlib.crc32(content.encode()):08x}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fingerprint=FILES, block_size=st.integers(1, 6000), whole=WHOLES, data=st.data())
def test_what_is_written_is_read_back_however_it_grows(
    path: Path, fingerprint: Fingerprint, block_size: int, whole: Checksums, data: st.DataObject
) -> None:
    assume(fingerprint.size // block_size < 100)
    written, text = text_of(fingerprint, block_size, whole)
    path.write_text("")
    reader = ManifestReader(str(path))
    for end in sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5))):
        path.write_text(text[:end])
        whole_lines = text[:end].count("\n")
        manifest = reader.read_on(fingerprint)
        assert (manifest is None) == (whole_lines == 0)
        if manifest:
            assert manifest.blocks == written.blocks[: whole_lines - 1]
            assert manifest.whole == (whole if end == len(text) else None)
    path.write_text(text)
    assert reader.read_on(fingerprint) == written


@given(FILES, st.integers(1, 6000), WHOLES, TIMES)
def test_a_manifest_takes_no_more_than_is_reserved_for_it(fingerprint: Fingerprint, block_size: int, whole: Checksums, ctime: int) -> None:
    assume(fingerprint.size // block_size < 1000)
    text = text_of(fingerprint, block_size, whole)[1]
    assert len(text + completed_line(ctime)) <= manifest_bytes(fingerprint.size, block_size)


def test_the_largest_numbers_fit_what_is_reserved_too() -> None:
    longest = -(2**63) * 10**9
    manifest = BlockManifest(Fingerprint(2**63 - 1, longest, 2**64 - 1, longest), 2**53)
    text = manifest.text() + manifest.add(2**53, 2**64 - 1) + manifest.finish(WHOLE) + completed_line(longest)
    assert len(text) <= manifest_bytes(2**53, 2**53)


@pytest.mark.parametrize("mtime_ns", [-1, 10**20, -(10**20), 253_402_300_799 * 10**9], ids=["before 1970", "year 5138", "long ago", "9999"])
def test_a_file_from_any_time_has_a_manifest_that_can_be_read(path: Path, mtime_ns: int) -> None:
    fingerprint = Fingerprint(100, mtime_ns, 6, mtime_ns)
    written, text = text_of(fingerprint, 60)
    path.write_text(text)
    assert ManifestReader(str(path)).read_on(fingerprint) == written


def test_block_ids_have_one_length_and_name_place_and_content() -> None:
    ids = {Block(index, 0, length, checksum(content)).id for index in (0, 1, 49_999) for length in (1, 2) for content in (0, 1)}
    assert len(ids) == 12
    assert {len(block_id) for block_id in ids} == {37}, "as those of older releases, whose blocks may lie under the name still"


FINGERPRINT = Fingerprint(100, 5, 6, 7)
HEADER = line("nfsw-manifest 1 100 5 6 7 60")
CRC = "0" * 16
MD5 = "0" * 32


@pytest.mark.parametrize(
    "text",
    [
        "nonsense\n",
        "\n",
        " \n",
        line("nonsense"),
        line(""),
        "nfsw-manifest 1 100 5 6 7 60\n",
        "nfsw-manifest 1 100 5 6 7 60 00000000\n",
        line("nfsw-proof 2 100 5 6 7 60"),
        line("nfsw-manifest 2 100 5 6 7 60"),
        line("nfsw-manifest 12 100 5 6 7 60"),
        line("nfsw-manifest 1 100 5 6 60"),
        line("nfsw-manifest 1 100 5 6 7 0"),
        line("nfsw-manifest 1 100 5 6 7 -60"),
        line("nfsw-manifest 1 -100 5 6 7 60"),
        line("nfsw-manifest 1 100 --5 6 7 60"),
        line("nfsw-manifest 1 100 5 6 7 six"),
        line(f"nfsw-manifest 1 100 5 6 7 {'6' * 5000}"),
        "\0" * 24 + "\n",
        HEADER + "\n",
        HEADER + line("60"),
        HEADER + f"60 {CRC}\n",
        HEADER + line(f"60 {CRC} {CRC}"),
        HEADER + line(f"60 {'0' * 15}"),
        HEADER + line(f"60 {'0' * 15}g"),
        HEADER + line(f"-60 {CRC}"),
        HEADER + line(f"0 {CRC}"),
        HEADER + line(f"59 {CRC}"),
        HEADER + line(f"61 {CRC}"),
        HEADER + line(f"60 {CRC}") + line(f"60 {CRC}"),
        HEADER + line(f"60 {CRC}") + line(f"end {CRC} -"),
        HEADER + line(f"60 {CRC}") + line(f"40 {CRC}") + line(f"end {CRC}"),
        HEADER + line(f"60 {CRC}") + line(f"40 {CRC}") + line(f"end {CRC} {CRC}"),
        HEADER + line(f"60 {CRC}") + line(f"40 {CRC}") + line(f"end {CRC} -") * 2,
        HEADER + line(f"60 {CRC}") + line(f"40 {CRC}") + line(f"end {CRC} {MD5}") + line(f"40 {CRC}"),
        HEADER + line(f"60 {CRC}") + line(f"40 {CRC}") + line("completed 7"),
        HEADER + line(f"60 {CRC}") + "\n" + line(f"40 {CRC}"),
        HEADER + line(f"60 {CRC}\r"),
    ],
)
def test_a_file_that_is_no_manifest_is_found_out(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    with pytest.raises(BadManifest) as bad:
        ManifestReader(str(path)).read_on(FINGERPRINT)
    assert len(str(bad.value)) < 300, "it goes into a message and a log line"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=300))
def test_junk_is_a_bad_manifest_or_not_enough_to_tell(path: Path, junk: bytes) -> None:
    path.write_bytes(junk)
    try:
        manifest = ManifestReader(str(path)).read_on(FINGERPRINT)
    except BadManifest:
        return
    assert manifest is None
    assert b"\n" not in junk


def test_one_flipped_bit_is_always_found_out_or_hides_what_comes_after_it(path: Path) -> None:
    """Of the line's end a flip makes one line of two, or an unfinished last one: it never makes another value of a line."""
    written, text = text_of(FINGERPRINT, 60)
    for place in range(len(text)):
        for bit in range(8):
            damaged = bytearray(text.encode())
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                manifest = ManifestReader(str(path)).read_on(FINGERPRINT)
            except BadManifest:
                continue
            assert place == len(text) - 1, f"bit {bit} of {text[place]!r}"
            assert manifest is not None
            assert (manifest.blocks, manifest.whole) == (written.blocks, None)


def test_a_manifest_of_another_version_is_a_bad_one(path: Path) -> None:
    path.write_text(text_of(FINGERPRINT, 60)[1])
    for other in (
        FINGERPRINT._replace(size=101),
        FINGERPRINT._replace(mtime_ns=6),
        FINGERPRINT._replace(inode=7),
        FINGERPRINT._replace(ctime_ns=8),
    ):
        with pytest.raises(BadManifest, match="another version"):
            ManifestReader(str(path)).read_on(other)


def test_a_manifest_that_is_wiped_is_not_found(path: Path) -> None:
    path.write_text(text_of(FINGERPRINT, 60)[1])
    reader = ManifestReader(str(path))
    reader.read_on(FINGERPRINT)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        reader.read_on(FINGERPRINT)


@pytest.mark.parametrize("left", [0, 1, 50])
def test_a_manifest_that_has_become_shorter_is_a_bad_one(path: Path, left: int) -> None:
    """What it said once is lost, so nothing that it says later can be trusted."""
    text = text_of(FINGERPRINT, 60)[1]
    path.write_text(text)
    reader = ManifestReader(str(path))
    reader.read_on(FINGERPRINT)
    path.write_text(text[:left])
    with pytest.raises(BadManifest, match="shorter"):
        reader.read_on(FINGERPRINT)


def test_an_empty_file_has_a_manifest_without_blocks(path: Path) -> None:
    fingerprint = Fingerprint(0, 5, 6, 7)
    path.write_text(text_of(fingerprint, 60, Checksums(0))[1])
    manifest = ManifestReader(str(path)).read_on(fingerprint)
    assert manifest is not None
    assert (manifest.blocks, manifest.whole) == ([], Checksums(0))


def test_what_the_source_was_since_it_was_marked_is_read_back(path: Path) -> None:
    manifest, text = text_of(FINGERPRINT, 60)
    assert manifest.completed is None
    path.write_text(text + completed_line(99))
    read = ManifestReader(str(path)).read_on(FINGERPRINT)
    assert read is not None
    assert read.completed == FINGERPRINT._replace(ctime_ns=99)


def test_blocks_too_small_for_azure_do_not_make_the_manifest_as_large_as_the_file() -> None:
    """They grow, so that there are never more than 50,000."""
    assert manifest_bytes(10 * 2**30, 1) < 3 * 2**20


@given(st.integers(0, 2**44), st.integers(0, 2**44), st.none() | st.integers(1, 4000 * MIB))
def test_a_smaller_file_never_needs_more_room_for_its_manifest(one: int, other: int, chosen: int | None) -> None:
    """Else there would be files that fit under the limit of what can be staged, and for which there never is room."""
    smaller, larger = sorted((one, other))
    assert manifest_bytes(smaller, chosen) <= manifest_bytes(larger, chosen)

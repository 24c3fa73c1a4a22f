"""The proof: what is written is read back, however it is cut off, and nothing else passes for it."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nfsw.actors.files import Fingerprint
from nfsw.actors.proof import BadProof, Block, Proof, ProofReader, fitting_block_size, proof_bytes

MIB = 1024 * 1024
TIMES = st.integers(-(2**63), 2**63 - 1)
FILES = st.builds(Fingerprint, st.integers(0, 5000), TIMES, st.integers(0, 2**64 - 1), TIMES)


def digest(number: int) -> bytes:
    return hashlib.md5(str(number).encode(), usedforsecurity=False).digest()


def text_of(fingerprint: Fingerprint, block_size: int) -> tuple[Proof, str]:
    """A whole proof, and the file that it was written to."""
    proof = Proof(fingerprint, block_size)
    text = proof.header()
    while proof.staged < fingerprint.size:
        text += proof.add(min(block_size, fingerprint.size - proof.staged), digest(len(proof.blocks)))
    return proof, text + proof.finish(digest(-1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "proof"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fingerprint=FILES, block_size=st.integers(1, 6000), data=st.data())
def test_what_is_written_is_read_back_however_it_grows(path: Path, fingerprint: Fingerprint, block_size: int, data: st.DataObject) -> None:
    assume(fingerprint.size // block_size < 100)
    written, text = text_of(fingerprint, block_size)
    path.write_text("")
    reader = ProofReader(str(path))
    for end in sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5))):
        path.write_text(text[:end])
        whole_lines = text[:end].count("\n")
        proof = reader.read_on(fingerprint)
        assert (proof is None) == (whole_lines == 0)
        if proof:
            assert proof.blocks == written.blocks[: whole_lines - 1]
            assert proof.md5 == (written.md5 if end == len(text) else None)
    path.write_text(text)
    assert reader.read_on(fingerprint) == written


@given(st.integers(0, 2**44), st.integers(1, 4000 * MIB))
def test_no_file_has_more_blocks_than_azure_takes(size: int, wanted: int) -> None:
    block_size = fitting_block_size(size, wanted)
    assert -(-size // block_size) <= 50_000
    assert block_size == wanted or (block_size % MIB == 0 and block_size > wanted)


def test_the_block_size_grows_only_beyond_50000_blocks() -> None:
    assert fitting_block_size(50_000 * 4 * MIB, 4 * MIB) == 4 * MIB
    assert fitting_block_size(50_000 * 4 * MIB + 1, 4 * MIB) == 5 * MIB


@given(FILES, st.integers(1, 6000))
def test_a_proof_takes_no_more_than_is_reserved_for_it(fingerprint: Fingerprint, block_size: int) -> None:
    assume(fingerprint.size // block_size < 1000)
    assert len(text_of(fingerprint, block_size)[1]) <= proof_bytes(fingerprint.size, block_size)


def test_the_largest_numbers_fit_what_is_reserved_too() -> None:
    proof = Proof(Fingerprint(2**63 - 1, -(2**63), 2**64 - 1, -(2**63)), 2**53)
    text = proof.header() + proof.add(2**53, digest(0)) + proof.finish(digest(1))
    assert len(text) <= proof_bytes(2**53, 2**53)


def test_block_ids_have_one_length_and_name_place_and_content() -> None:
    ids = {Block(index, 0, 1, digest(content)).id for index in (0, 1, 49_999) for content in (0, 1)}
    assert len(ids) == 6
    assert {len(block_id) for block_id in ids} == {37}


FINGERPRINT = Fingerprint(100, 5, 6, 7)
HEADER = "nfsw-proof 2 100 5 6 7 60\n"
MD5 = "0" * 32


@pytest.mark.parametrize(
    "text",
    [
        "nonsense\n",
        "\n",
        "nfsw-proof 3 100 5 6 7 60\n",
        "nfsw-proof 12 100 5 6 7 60\n",
        "nfsw-proof 2 100 5 6 7\n",
        "nfsw-proof 2 100 5 6 7 0\n",
        "nfsw-proof 2 100 5 6 7 -60\n",
        "nfsw-proof 2 -100 5 6 7 60\n",
        "nfsw-proof 2 100 --5 6 7 60\n",
        "nfsw-proof 2 100 5 6 7 six\n",
        f"nfsw-proof 2 100 5 6 7 {'6' * 5000}\n",
        "\0" * 24 + "\n",
        HEADER + "\n",
        HEADER + "60\n",
        HEADER + f"60 {MD5} {MD5}\n",
        HEADER + f"60 {'0' * 30}\n",
        HEADER + f"60 {'0' * 31}g\n",
        HEADER + f"-60 {MD5}\n",
        HEADER + f"0 {MD5}\n",
        HEADER + f"59 {MD5}\n",
        HEADER + f"61 {MD5}\n",
        HEADER + f"60 {MD5}\n60 {MD5}\n",
        HEADER + f"60 {MD5}\nend {MD5}\n",
        HEADER + f"60 {MD5}\n40 {MD5}\nend {MD5}\nend {MD5}\n",
        HEADER + f"60 {MD5}\n40 {MD5}\nend {MD5}\n40 {MD5}\n",
        HEADER + f"60 {MD5}\n\n40 {MD5}\n",
        HEADER + f"60 {MD5}\r\n",
    ],
)
def test_a_file_that_is_no_proof_is_found_out(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    with pytest.raises(BadProof) as bad:
        ProofReader(str(path)).read_on(FINGERPRINT)
    assert len(str(bad.value)) < 300, "it goes into a message and a log line"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=300))
def test_junk_is_a_bad_proof_or_not_enough_to_tell(path: Path, junk: bytes) -> None:
    path.write_bytes(junk)
    try:
        proof = ProofReader(str(path)).read_on(FINGERPRINT)
    except BadProof:
        return
    assert proof is None
    assert b"\n" not in junk


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_flipped_bit_never_makes_a_proof_of_other_blocks(path: Path, place: int, bit: int) -> None:
    """It is found out here, or it changed a hash, which the service then refuses."""
    written, text = text_of(FINGERPRINT, 60)
    damaged = bytearray(text.encode())
    damaged[place % len(damaged)] ^= 1 << bit
    path.write_bytes(damaged)
    try:
        proof = ProofReader(str(path)).read_on(FINGERPRINT)
    except BadProof:
        return
    if proof is not None and (proof.md5 is not None or proof.blocks):
        assert [block.length for block in proof.blocks] == [block.length for block in written.blocks][: len(proof.blocks)]
        assert sum(a != b for a, b in zip(proof.blocks, written.blocks, strict=False)) + (proof.md5 != written.md5) <= 1


def test_a_proof_of_another_version_is_a_bad_one(path: Path) -> None:
    path.write_text(text_of(FINGERPRINT, 60)[1])
    for other in (FINGERPRINT._replace(size=101), FINGERPRINT._replace(mtime_ns=6), FINGERPRINT._replace(inode=7)):
        with pytest.raises(BadProof, match="another version"):
            ProofReader(str(path)).read_on(other)


def test_a_proof_that_is_wiped_is_not_found(path: Path) -> None:
    path.write_text(text_of(FINGERPRINT, 60)[1])
    reader = ProofReader(str(path))
    reader.read_on(FINGERPRINT)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        reader.read_on(FINGERPRINT)


def test_an_empty_file_has_a_proof_without_blocks(path: Path) -> None:
    path.write_text(text_of(Fingerprint(0, 5, 6, 7), 60)[1])
    proof = ProofReader(str(path)).read_on(Fingerprint(0, 5, 6, 7))
    assert proof is not None
    assert (proof.blocks, proof.md5) == ([], digest(-1))


def test_blocks_too_small_for_azure_do_not_make_the_proof_as_large_as_the_file() -> None:
    """They grow, so that there are never more than 50,000."""
    assert proof_bytes(10 * 2**30, 1) == proof_bytes(10 * 2**30, fitting_block_size(10 * 2**30, 1)) < 3 * 2**20

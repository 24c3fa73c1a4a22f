"""The benchmark's sink, as a process, spoken to by the real SDK and by bare sockets: what it answers and what it counts."""

import asyncio
import base64
import hashlib
import http.client
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobServiceClient, ContainerClient, ContentSettings

from nfsw.actors.crc64 import crc64
from tests.support.stopwatch import Stopwatch
from tools.bench.sink.process import ACCOUNT, Sink

CONTAINER = "bench"
MIB = 1024 * 1024
#: CRC-64/NVME of the digits 1 to 9, as the catalogue of parametrised CRC algorithms has it.
PUBLISHED = 0xAE8B14860A799888


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink(check=True) as running:
        yield running


@pytest.fixture
def container(sink: Sink) -> Iterator[ContainerClient]:
    sink.reset()
    with BlobServiceClient.from_connection_string(sink.connection_string, retry_total=0) as service:
        client = service.get_container_client(CONTAINER)
        if not client.exists():
            client.create_container()
        yield client


def block_id(number: int) -> str:
    return f"{number:06}"


def on_the_wire(number: int) -> str:
    """The SDK encodes the ids that it is given."""
    return base64.b64encode(block_id(number).encode()).decode()


def code_of(refused: pytest.ExceptionInfo[HttpResponseError]) -> object:
    """The SDK sets it without declaring it."""
    return getattr(refused.value, "error_code", None)


def test_a_small_blob_keeps_its_size_its_md5_and_its_metadata(sink: Sink, container: ContainerClient) -> None:
    content = b"x" * 4096
    md5 = hashlib.md5(content).digest()
    settings = ContentSettings(content_type="video/mp4", content_md5=bytearray(md5))
    container.upload_blob("20260131/s1/a b%#?ü.bin", content, content_settings=settings, metadata={"mtime": "12"})

    properties = container.get_blob_client("20260131/s1/a b%#?ü.bin").get_blob_properties()
    assert properties.size == 4096
    assert bytes(properties.content_settings.content_md5 or b"") == md5
    assert properties.content_settings.content_type == "video/mp4"
    assert properties.metadata == {"mtime": "12"}
    assert sink.totals()["received"] == 4096


def test_blocks_are_committed_in_the_order_of_the_list(sink: Sink, container: ContainerClient) -> None:
    blob = container.get_blob_client("b")
    for number in range(3):
        blob.stage_block(block_id(number), bytes(1000 + number))
    blob.commit_block_list([BlobBlock(block_id(number)) for number in (2, 0, 1)])

    assert blob.get_blob_properties().size == 3003
    assert [block.size for block in blob.get_block_list("all")[0]] == [1002, 1000, 1001]
    assert sink.blobs()["b"]["order"] == [on_the_wire(2), on_the_wire(0), on_the_wire(1)]
    assert sink.blobs()["b"]["sizes"] == {on_the_wire(number): 1000 + number for number in range(3)}


def test_a_block_that_comes_twice_is_counted_twice_and_held_once(sink: Sink, container: ContainerClient) -> None:
    blob = container.get_blob_client("b")
    for _ in range(2):
        blob.stage_block(block_id(1), bytes(5000))
    blob.stage_block(block_id(2), bytes(7))
    blob.commit_block_list([BlobBlock(block_id(1)), BlobBlock(block_id(2))])

    told = sink.blobs()["b"]
    assert told["size"] == 5007
    assert told["received"] == 10_007
    assert told["parts"][on_the_wire(1)] == {"received": 10_000, "completed": 2}


def test_uncommitted_blocks_are_listed_until_a_commit_leaves_them_out(container: ContainerClient) -> None:
    blob = container.get_blob_client("b")
    for number in range(2):
        blob.stage_block(block_id(number), bytes(10 + number))
    _committed, uncommitted = blob.get_block_list("uncommitted")
    assert [(block.id, block.size) for block in uncommitted] == [(block_id(0), 10), (block_id(1), 11)]

    blob.commit_block_list([BlobBlock(block_id(1))])
    assert blob.get_block_list("uncommitted")[1] == []
    with pytest.raises(HttpResponseError) as refused:
        blob.commit_block_list([BlobBlock(block_id(0))])
    assert code_of(refused) == "InvalidBlockList"


def test_block_ids_of_two_lengths_do_not_go_together(container: ContainerClient) -> None:
    blob = container.get_blob_client("b")
    blob.stage_block("short", b"1")
    with pytest.raises(HttpResponseError) as refused:
        blob.stage_block("much-longer", b"2")
    assert code_of(refused) == "InvalidBlobOrBlock"


def test_a_block_that_differs_from_its_md5_is_refused(container: ContainerClient) -> None:
    blob = container.get_blob_client("b")
    blob.stage_block(block_id(0), b"right", transactional_content_md5=hashlib.md5(b"right").digest())
    with pytest.raises(HttpResponseError) as refused:
        blob.stage_block(block_id(1), b"wrong", transactional_content_md5=hashlib.md5(b"right").digest())
    assert code_of(refused) == "Md5Mismatch"
    assert [block.id for block in blob.get_block_list("uncommitted")[1]] == [block_id(0)]


@pytest.mark.parametrize("content", [b"123456789", b"x" * 3 * MIB, b""], ids=["published value", "large", "empty"])
def test_a_body_that_differs_from_its_crc64_is_refused(container: ContainerClient, content: bytes) -> None:
    blob, right = container.get_blob_client("b"), PUBLISHED if content == b"123456789" else crc64(content)
    blob.stage_block(block_id(0), content, transactional_content_crc64=right.to_bytes(8, "little"))
    blob.upload_blob(content, transactional_content_crc64=right.to_bytes(8, "little"))
    for wrong in (right.to_bytes(8, "big"), (right ^ 1 << 63).to_bytes(8, "little")):
        if wrong == right.to_bytes(8, "little"):
            continue
        with pytest.raises(HttpResponseError) as refused:
            blob.stage_block(block_id(1), content, transactional_content_crc64=wrong)
        assert code_of(refused) == "Crc64Mismatch"
        with pytest.raises(HttpResponseError) as refused:
            blob.upload_blob(content, overwrite=True, transactional_content_crc64=wrong)
        assert code_of(refused) == "Crc64Mismatch"


def test_two_checksums_of_one_body_are_refused(container: ContainerClient) -> None:
    blob, md5, crc = container.get_blob_client("b"), hashlib.md5(b"right").digest(), crc64(b"right").to_bytes(8, "little")
    with pytest.raises(HttpResponseError) as refused:
        blob.stage_block(block_id(0), b"right", transactional_content_md5=md5, transactional_content_crc64=crc)
    assert code_of(refused) == "BothCrc64AndMd5HeaderPresent"
    with pytest.raises(HttpResponseError) as refused:
        blob.upload_blob(b"right", content_settings=ContentSettings(content_md5=bytearray(md5)), transactional_content_crc64=crc)
    assert code_of(refused) == "BothCrc64AndMd5HeaderPresent"


def test_blobs_are_listed_by_prefix_and_by_folder_and_are_gone_when_deleted(container: ContainerClient) -> None:
    for name in ("a/1", "a/2", "b/1", "c"):
        container.upload_blob(name, b"1234")
    assert [(blob.name, blob.size) for blob in container.list_blobs(name_starts_with="a/")] == [("a/1", 4), ("a/2", 4)]
    assert sorted(found.name for found in container.walk_blobs()) == ["a/", "b/", "c"]

    container.delete_blob("a/1")
    assert [blob.name for blob in container.list_blobs(name_starts_with="a/")] == ["a/2"]
    with pytest.raises(ResourceNotFoundError):
        container.get_blob_client("a/1").get_blob_properties()


def test_a_missing_container_is_not_found_and_a_second_one_of_its_name_is_a_conflict(sink: Sink) -> None:
    with BlobServiceClient.from_connection_string(sink.connection_string, retry_total=0) as service:
        other = service.get_container_client("other")
        with pytest.raises(ResourceNotFoundError):
            other.get_container_properties()
        with pytest.raises(ResourceNotFoundError):
            other.upload_blob("a", b"1")
        other.create_container()
        with pytest.raises(ResourceExistsError):
            other.create_container()


def test_overwriting_is_refused_where_the_uploader_asks_for_that(container: ContainerClient) -> None:
    container.upload_blob("a", b"1")
    with pytest.raises(ResourceExistsError):
        container.upload_blob("a", b"2")
    container.upload_blob("a", b"22", overwrite=True)
    assert container.get_blob_client("a").get_blob_properties().size == 2


def test_bytes_of_a_request_that_breaks_off_are_counted(sink: Sink, container: ContainerClient) -> None:
    _ = container
    with socket.create_connection(("127.0.0.1", sink.port)) as sock:
        head = f"PUT /{ACCOUNT}/{CONTAINER}/broken?comp=block&blockid={on_the_wire(0)} HTTP/1.1\r\nHost: x\r\nContent-Length: {MIB}\r\n\r\n"
        sock.sendall(head.encode() + bytes(1000))
    deadline = time.monotonic() + 5
    while (told := sink.blobs().get("broken")) is None or told["received"] < 1000:
        assert time.monotonic() < deadline
    assert told["parts"][on_the_wire(0)] == {"received": 1000, "completed": 0}
    assert told["size"] is None


def test_a_chunked_body_is_read_to_its_end(sink: Sink, container: ContainerClient) -> None:
    _ = container
    connection = http.client.HTTPConnection("127.0.0.1", sink.port)
    chunks = [b"a" * 10, b"b" * 70_000, b"c"]
    for _repeat in range(2):  # the second on the same connection: nothing of the first was left in it
        connection.request("PUT", f"/{ACCOUNT}/{CONTAINER}/chunked", iter(chunks), {"x-ms-blob-type": "BlockBlob"}, encode_chunked=True)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201
    connection.close()
    assert (sink.blobs()["chunked"]["size"], sink.blobs()["chunked"]["received"]) == (70_011, 140_022)


def test_a_sender_that_asks_first_is_told_to_go_on(sink: Sink, container: ContainerClient) -> None:
    _ = container
    with socket.create_connection(("127.0.0.1", sink.port), timeout=5) as sock:
        head = f"PUT /{ACCOUNT}/{CONTAINER}/asked HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        sock.sendall(head.encode())
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"1234")
        assert sock.recv(1000).startswith(b"HTTP/1.1 201 Created\r\n")
    assert sink.blobs()["asked"]["size"] == 4


def test_what_is_no_http_is_answered_with_400_and_harms_nobody(sink: Sink, container: ContainerClient) -> None:
    with socket.create_connection(("127.0.0.1", sink.port), timeout=5) as sock:
        sock.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 400 ")
    container.upload_blob("a", b"1")


def test_a_reset_forgets_the_blobs_and_keeps_the_container(sink: Sink, container: ContainerClient) -> None:
    container.upload_blob("a", b"1")
    sink.reset()
    assert (sink.blobs(), sink.totals()["received"]) == ({}, 0)
    container.upload_blob("a", b"1")


def test_the_cap_holds_over_all_connections_together() -> None:
    rate, size = 20 * MIB, 5 * MIB
    with Sink(cap=rate) as sink, BlobServiceClient.from_connection_string(sink.connection_string) as service:
        container = service.create_container(CONTAINER)

        async def send_all() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(4):
                    group.create_task(asyncio.to_thread(container.upload_blob, f"{number}", bytes(size)))

        watch = Stopwatch()
        asyncio.run(send_all())
        totals = sink.totals()
        assert totals["received"] == 4 * size
        least = 4 * size / rate
        assert totals["last_at"] - totals["first_at"] >= least * 0.95
        assert watch.seconds <= least * 1.5

        sink.cap(None)
        watch = Stopwatch()
        container.upload_blob("free", bytes(4 * size))
        assert watch.seconds < least


def test_a_peer_that_is_killed_under_the_cap_harms_nobody() -> None:
    with Sink(cap=2 * MIB) as sink:
        sink.create_container(CONTAINER)
        head = f"PUT /{ACCOUNT}/{CONTAINER}/broken HTTP/1.1\r\nHost: x\r\nContent-Length: {4 * MIB}\r\n\r\n"
        for _ in range(3):
            peers = [socket.create_connection(("127.0.0.1", sink.port)) for _ in range(8)]
            for peer in peers:
                peer.sendall(head.encode() + bytes(64 * 1024))
            while sink.totals()["received"] == 0:
                pass
            for peer in peers:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset
                peer.close()
        with BlobServiceClient.from_connection_string(sink.connection_string) as service:
            service.get_container_client(CONTAINER).upload_blob("whole", bytes(MIB))
        assert sink.blobs()["whole"]["size"] == MIB


def test_it_speaks_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, trusted = tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(trusted)
    with Sink(certificate=certificate) as sink:
        context = ssl.create_default_context(cafile=trusted)
        connection = http.client.HTTPSConnection("127.0.0.1", sink.port, context=context)
        for path, body, status in (
            (f"/{ACCOUNT}/{CONTAINER}?restype=container", b"", 201),
            (f"/{ACCOUNT}/{CONTAINER}/a", bytes(3 * MIB), 201),
            (f"/{ACCOUNT}/{CONTAINER}/b", b"", 201),
        ):
            connection.request("PUT", path, body)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
        connection.close()
        assert {name: blob["size"] for name, blob in sink.blobs().items()} == {"a": 3 * MIB, "b": 0}


def test_it_ends_when_its_starter_is_gone() -> None:
    sink = Sink()
    with sink:
        assert sink.totals()["received"] == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", sink.port))

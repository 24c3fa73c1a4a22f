"""The fault proxy itself, with the plain SDK and a bare socket in front of it."""

import socket
import time
from collections.abc import Iterator

import pytest
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.storage.blob import BlobBlock, BlobClient, ContainerClient

from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.content import some_bytes
from tests.support.proxy import FaultProxy
from tests.support.proxy_rules import BUSY, FORBIDDEN, Delay, Fault, LoseAnswer, NoAnswer, Reset, StopReading, Truncate, too_many
from tests.support.waiting import until

DATA = some_bytes(1, 700_000)


@pytest.fixture
def blob(proxy: FaultProxy, container: Container) -> Iterator[BlobClient]:
    """Through the proxy, and without retries: each call is one request."""
    container.make()
    with ContainerClient.from_connection_string(
        proxy.endpoint.connection_string, container.name, retry_total=0, connection_timeout=2, read_timeout=1
    ) as client:
        yield client.get_blob_client("d/s/file")


def test_everything_passes_unless_a_rule_says_otherwise(proxy: FaultProxy, blob: BlobClient, container: Container) -> None:
    blob.stage_block("a", DATA)
    blob.stage_block("b", DATA)
    blob.commit_block_list([BlobBlock("a"), BlobBlock("b")])
    assert blob.download_blob().readall() == DATA + DATA
    assert container.read("d/s/file").content.size == 2 * len(DATA)
    assert proxy.commits() == {"d/s/file": 1}
    blocks = [(request.block, request.received, request.status) for request in proxy.requests("d/s/file") if request.carries_data]
    assert blocks == [("YQ==", len(DATA), 201), ("Yg==", len(DATA), 201)]
    assert proxy.sent_again("d/s/file") == 0
    blob.stage_block("a", DATA)
    assert proxy.sent_again("d/s/file") == len(DATA)


@pytest.mark.parametrize(
    ("fault", "status"), [(BUSY, 503), (FORBIDDEN, 403), (too_many(7), 429)], ids=lambda value: str(value) if isinstance(value, int) else ""
)
def test_an_answer_takes_the_place_of_azurites(proxy: FaultProxy, blob: BlobClient, fault: Fault, status: int) -> None:
    with proxy.failing(fault, method="PUT", comp="block", skip=1, times=1) as rule:
        blob.stage_block("a", DATA)
        with pytest.raises(HttpResponseError) as refused:
            blob.stage_block("b", DATA)
        blob.stage_block("c", DATA)
    assert refused.value.status_code == status
    assert rule.hits == 1
    assert [request.status for request in proxy.requests("d/s/file")] == [201, None, 201]


def test_retry_after_is_among_the_fields_of_the_answer(proxy: FaultProxy) -> None:
    with proxy.failing(too_many(7)), socket.create_connection(("127.0.0.1", proxy.endpoint.port)) as sender:
        sender.sendall(b"HEAD /a/c/b HTTP/1.1\r\n\r\n")
        assert b"\r\nRetry-After: 7\r\n" in sender.recv(65536)


@pytest.mark.parametrize("fault", [Reset(after=1000), NoAnswer(), StopReading(after=1000)], ids=lambda fault: type(fault).__name__)
def test_a_block_that_does_not_get_through_is_not_there(proxy: FaultProxy, blob: BlobClient, fault: Fault) -> None:
    blob.stage_block("a", DATA)
    with proxy.failing(fault, comp="block"), pytest.raises((ServiceRequestError, ServiceResponseError)):
        blob.stage_block("b", DATA * 8)
    _, uncommitted = blob.get_block_list("uncommitted")
    assert [block.id for block in uncommitted] == ["a"]


def test_a_peer_that_stops_reading_blocks_the_sender(proxy: FaultProxy) -> None:
    with proxy.failing(StopReading(after=1000)), socket.create_connection(("127.0.0.1", proxy.endpoint.port)) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        sender.sendall(b"PUT /a/c/b HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n")
        sender.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sender.sendall(bytes(100_000_000))
        [request] = proxy.requests("b")
        assert 1000 <= request.received < 1_000_000


@pytest.mark.parametrize("fault", [LoseAnswer(), LoseAnswer(silent=True), Truncate(10)], ids=str)
def test_a_commit_whose_answer_is_lost_has_taken_place(proxy: FaultProxy, blob: BlobClient, container: Container, fault: Fault) -> None:
    blob.stage_block("a", DATA)
    with proxy.failing(fault, comp="blocklist", method="PUT"), pytest.raises(AzureError):
        blob.commit_block_list([BlobBlock("a")])
    until(lambda: proxy.commits() == {"d/s/file": 1}, within=5, what="the commit is carried out")
    assert container.read("d/s/file").content.size == len(DATA)


def test_a_delay_is_a_delay(proxy: FaultProxy, blob: BlobClient) -> None:
    with proxy.failing(Delay(0.4), blob="d/*"):
        begun = time.monotonic()
        blob.stage_block("a", DATA)
    assert time.monotonic() - begun >= 0.4


def test_connections_can_be_refused_for_a_time(proxy: FaultProxy, blob: BlobClient) -> None:
    with proxy.refusing(), pytest.raises(ServiceRequestError):
        blob.stage_block("a", DATA)
    blob.stage_block("a", DATA)


def test_a_client_that_idles_longer_than_azurite_keeps_connections_is_served(proxy: FaultProxy, azurite: Endpoint) -> None:
    """Azurite drops a connection after 5 s without a request; the proxy must not pass that on as a reset."""
    with socket.create_connection(("127.0.0.1", proxy.endpoint.port)) as sender:
        for pause in (5.5, 0.0):
            sender.sendall(b"HEAD /devstoreaccount1/none?restype=container HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sender.recv(65536).startswith(b"HTTP/1.1 ")
            time.sleep(pause)

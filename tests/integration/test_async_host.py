"""The Uploader's host on a real socket pair: which job each word of it belongs to, and how it ends."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from nfsw.actors import logs
from nfsw.actors.async_host import AsyncHost
from nfsw.actors.call_board import CallBoard
from nfsw.actors.channel import PACKET, pack, unpack
from nfsw.actors.envelope import Envelope, Started
from nfsw.actors.host import CRASHED
from nfsw.actors.messages import ContainerReady, MoreStaged, Uploaded, UploadFile, UploadProgress, Withdrawn, WithdrawUpload
from nfsw.actors.tree import StagingTree
from tests.support.sending import Sending
from tests.support.stopwatch import Stopwatch

PATIENCE_S = 20.0


@pytest.fixture
async def sending(tmp_path: Path) -> Sending:
    return Sending(StagingTree(str(tmp_path)))


class MainEnd:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._heard: list[Envelope] = []
        self.packets: list[tuple[Envelope, ...]] = []

    async def say(self, *envelopes: Envelope) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, pack(envelopes))

    async def hears(self, count: int) -> list[Envelope]:
        """The next `count` envelopes."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self._heard) < count:
                self.packets.append(unpack(await asyncio.get_running_loop().sock_recv(self._sock, PACKET)))
                self._heard += self.packets[-1]
        heard, self._heard = self._heard[:count], self._heard[count:]
        return heard

    async def hears_until(self, kind: type[object]) -> list[Envelope]:
        """The next envelopes up to the first message of this kind."""
        heard = await self.hears(1)
        while not isinstance(heard[-1].message, kind):
            heard += await self.hears(1)
        return heard


@asynccontextmanager
async def host(sending: Sending) -> AsyncIterator[tuple[MainEnd, "asyncio.Task[None]"]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    fd = CallBoard.create(2)
    board = CallBoard(fd, 2)
    os.close(fd)
    running = asyncio.create_task(AsyncHost(sending.uploader, theirs, board).run())
    try:
        main = MainEnd(ours)
        assert [envelope.message for envelope in await main.hears(2)] == [Started(), ContainerReady()]
        yield main, running
    finally:
        running.cancel()
        await asyncio.wait([running])
        board.close()
        ours.close()
        theirs.close()


async def test_each_job_gets_its_news_and_behind_them_one_reply_with_its_number(sending: Sending) -> None:
    one, two = sending.staged("one").whole(), sending.staged("two").whole()
    async with host(sending) as (main, _):
        await main.say(*(Envelope(UploadFile(staged.file, staged.fingerprint), n, f"00-{n}-b-01") for n, staged in ((1, one), (2, two))))
        heard = [*await main.hears_until(Uploaded), *await main.hears_until(Uploaded)]
    for number in (1, 2):
        of_job = [envelope for envelope in heard if envelope.number == number]
        assert {type(envelope.message) for envelope in of_job[:-1]} <= {UploadProgress}
        assert isinstance(of_job[-1].message, Uploaded)
        assert {envelope.traceparent for envelope in of_job} == {f"00-{number}-b-01"}
    assert {envelope.number for envelope in heard} == {1, 2}


async def test_the_last_news_of_a_job_and_its_reply_go_in_one_packet(sending: Sending) -> None:
    staged = sending.staged(size=1).whole()
    async with host(sending) as (main, _):
        await main.say(Envelope(UploadFile(staged.file, staged.fingerprint, staged=True), 1))
        await main.hears_until(Uploaded)
    assert [type(envelope.message) for envelope in main.packets[-1]] == [UploadProgress, Uploaded]


async def test_a_job_that_waits_holds_up_neither_another_nor_the_word_that_ends_it(sending: Sending) -> None:
    waiting, other = sending.staged("waiting").begun(), sending.staged("other").whole()
    async with host(sending) as (main, _):
        await main.say(Envelope(UploadFile(waiting.file, waiting.fingerprint), 1), Envelope(MoreStaged(waiting.file)))
        await main.say(Envelope(UploadFile(other.file, other.fingerprint), 2))
        assert {envelope.number for envelope in await main.hears_until(Uploaded)} == {2}
        watch = Stopwatch()
        await main.say(Envelope(WithdrawUpload(waiting.file)))
        [*_, withdrawn] = await main.hears_until(Withdrawn)
        assert (withdrawn.message, withdrawn.number) == (Withdrawn(), 1)
        assert watch.seconds < 5


async def test_what_is_no_envelope_ends_it_as_a_crash_does(sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(logs, "leave", codes.append)
    async with host(sending) as (main, running):
        await asyncio.get_running_loop().sock_sendall(main._sock, msgspec.msgpack.encode("what is this?"))
        await asyncio.wait([running], timeout=PATIENCE_S)
        assert running.done()
    assert codes == [CRASHED]

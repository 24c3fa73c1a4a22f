"""The child's end of the channel, on a real socket pair: order, batches, back-pressure, and the end of the other side."""

import socket
import threading
from collections.abc import Iterator

import pytest

from nfsw.actors.channel import BATCH, PACKET, ChildEnd, pack, unpack
from nfsw.actors.envelope import Envelope, Message
from nfsw.actors.files import FileRef
from nfsw.actors.messages import FileRefused, FileStaged, StagingGrew

#: The longest name there is, and in pickles each of its bytes takes three.
LONGEST = "\udcff" * 255


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, ChildEnd]]:
    main, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    main.settimeout(30)
    yield main, ChildEnd(child)
    main.close()
    child.close()


def messages(main: socket.socket) -> Iterator[Message]:
    """As they come, until the child closes its end."""
    while packet := main.recv(PACKET):
        for envelope in unpack(packet):
            yield envelope.message


def test_what_is_sent_arrives_whole(pair: tuple[socket.socket, ChildEnd]) -> None:
    main, child = pair
    envelope = Envelope(FileStaged(FileRef("20260131", "s", "a\udcff.bin")), number=7, attempt=2, traceparent="00-a-b-01")
    child.send(envelope)
    assert unpack(main.recv(PACKET)) == (envelope,)


def test_packets_keep_their_boundaries(pair: tuple[socket.socket, ChildEnd]) -> None:
    main, child = pair
    main.send(pack([Envelope(1), Envelope(2)]))
    main.send(pack([Envelope(3)]))
    assert [[envelope.message for envelope in child.receive(5) or ()] for _ in range(2)] == [[1, 2], [3]]


def test_silence_is_an_empty_tuple(pair: tuple[socket.socket, ChildEnd]) -> None:
    _, child = pair
    assert child.receive(0) == ()


def test_the_end_of_the_main_process_is_none(pair: tuple[socket.socket, ChildEnd]) -> None:
    main, child = pair
    main.send(pack([Envelope("last words")]))
    main.close()
    assert [envelope.message for envelope in child.receive(5) or ()] == ["last words"]
    assert child.receive(5) is None
    assert child.receive(5) is None


def test_the_end_of_a_main_process_that_had_not_read_everything_is_none_too(pair: tuple[socket.socket, ChildEnd]) -> None:
    """The kernel says ECONNRESET then: unix(7) does so for unread messages."""
    main, child = pair
    child.send(Envelope("unread"))
    main.close()
    assert child.receive(5) is None


def test_to_send_to_a_main_process_that_is_gone_raises(pair: tuple[socket.socket, ChildEnd]) -> None:
    main, child = pair
    main.close()
    with pytest.raises(BrokenPipeError):
        child.send(Envelope("anybody there?"))


@pytest.mark.parametrize(
    "message",
    [StagingGrew(FileRef("20260131", LONGEST[:128], LONGEST), 1), FileRefused(FileRef("20260131", "s", LONGEST), "a reason " * 50)],
)
def test_a_full_packet_of_the_longest_messages_fits(pair: tuple[socket.socket, ChildEnd], message: Message) -> None:
    main, child = pair
    packet = pack([Envelope(message, number=n, traceparent="0" * 55) for n in range(BATCH)])
    assert main.send(packet) == len(packet) < PACKET
    assert len(child.receive(5) or ()) == BATCH


def test_many_threads_send_and_each_is_heard_in_order(pair: tuple[socket.socket, ChildEnd]) -> None:
    """More than the socket holds: they wait for the reader, and what waits goes in one packet."""
    main, child = pair
    threads, each = 8, 500
    begin = threading.Barrier(threads)

    def talk(who: int) -> None:
        begin.wait()
        for number in range(each):
            child.send(Envelope((who, number, "x" * 300)))

    def talk_and_end() -> None:
        talking = [threading.Thread(target=talk, args=(who,)) for who in range(threads)]
        for thread in talking:
            thread.start()
        for thread in talking:
            thread.join()
        main.shutdown(socket.SHUT_RDWR)

    ending = threading.Thread(target=talk_and_end)
    ending.start()
    heard: dict[int, list[int]] = {who: [] for who in range(threads)}
    for message in messages(main):
        assert isinstance(message, tuple)
        who, number, _ = message
        heard[who].append(number)
    ending.join()
    assert all(numbers == list(range(each)) for numbers in heard.values())


def test_what_waits_while_nobody_reads_goes_in_batches(pair: tuple[socket.socket, ChildEnd]) -> None:
    main, child = pair
    threads = 200

    def say(number: int) -> None:
        child.send(Envelope((number, "x" * 3000)))

    talking = [threading.Thread(target=say, args=(number,)) for number in range(threads)]
    for thread in talking:
        thread.start()
    sizes: list[int] = []
    heard: set[int] = set()
    while len(heard) < threads:
        envelopes = unpack(main.recv(PACKET))
        sizes.append(len(envelopes))
        for envelope in envelopes:
            assert isinstance(envelope.message, tuple)
            heard.add(envelope.message[0])
    for thread in talking:
        thread.join()
    assert sum(sizes) == threads
    assert max(sizes) <= BATCH

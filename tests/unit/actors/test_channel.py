"""The child's end of the channel, on a real socket pair: order, batches, back-pressure, and the end of the other side."""

import pickle
import socket
import threading
from collections.abc import Iterator

import msgspec
import pytest

from nfsw.actors.channel import _KINDS, BATCH, PACKET, ChildEnd, pack, unpack
from nfsw.actors.envelope import Envelope, Message
from nfsw.actors.files import Arrival, FileRef, Fingerprint
from nfsw.actors.messages import (
    FileRefused,
    FileStable,
    ReportAgain,
    ScanFailed,
    Staged,
    StagingProgress,
    UploadFailed,
    UploadFile,
    WatchedSessions,
)
from nfsw.actors.names import for_message

#: The longest name there is: 255 bytes, none of them UTF-8, each of which goes as four characters.
LONGEST = for_message("\udcff" * 255)
VERSION = Fingerprint(2**63 - 1, -(2**63), 2**64 - 1, 0)


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
    envelope = Envelope(UploadFailed("why", retry_after_s=1.5), number=7, traceparent="00-a-b-01", told_at=12.25)
    child.send(envelope)
    assert unpack(main.recv(PACKET)) == (envelope,)


@pytest.mark.parametrize(
    "message",
    [
        Staged(),
        WatchedSessions("s", frozenset({"s"}), frozenset()),
        FileStable(Arrival("s", "ä"), VERSION, 1.0, leased=True),
        UploadFile(FileRef("20260131", "s", "a"), VERSION, attempt=3, refused=True),
    ],
)
def test_what_arrives_is_what_was_sent_types_and_all(message: Message) -> None:
    [envelope] = unpack(pack([Envelope(message)]))
    assert envelope == Envelope(message)
    assert repr(envelope.message) == repr(message)


def test_each_message_has_a_tag_of_its_own() -> None:
    assert len({kind.__struct_config__.tag for kind in _KINDS}) == len(_KINDS) > 40


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode("no list"),
        msgspec.msgpack.encode([1]),
        msgspec.msgpack.encode([[["Staged"], None]]),
        msgspec.msgpack.encode([[["NoSuchMessage"], None, None, 0.0]]),
        msgspec.msgpack.encode([[["Message"], None, None, 0.0]]),
        msgspec.msgpack.encode([[["Staged"], "7", None, 0.0]]),
        msgspec.msgpack.encode([[["StagingProgress"], None, None, 0.0]]),
        msgspec.msgpack.encode([[["StagingProgress", "many"], None, None, 0.0]]),
        msgspec.msgpack.encode([[["ReportAgain", "no file"], None, None, 0.0]]),
        pickle.dumps([(Staged(), None, None, 0.0)]),
    ],
    ids=[
        *("nothing", "no MessagePack", "no list", "no envelope", "a short one", "no such message", "a message of no kind"),
        *("a number that is none", "a field is missing", "a field of another type", "a file that is none", "a pickle"),
    ],
)
def test_what_is_no_packet_of_envelopes_is_refused(packet: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        unpack(packet)


def test_a_name_that_is_not_utf_8_passes_as_text_and_raw_it_does_not() -> None:
    """Whoever tells of such a file says so; the file is never taken, and so need not be found by that name."""
    for name, text in (("caf\udce9", "caf\\xe9"), ("a\udcff\n", "a\\xff\\x0a"), ("Über\tlänge", "Über\tlänge")):
        [envelope] = unpack(pack([Envelope(ReportAgain(Arrival("s", for_message(name))))]))
        assert envelope.message == ReportAgain(Arrival("s", text))
    with pytest.raises(UnicodeEncodeError):
        pack([Envelope(ReportAgain(Arrival("s", "caf\udce9")))])


def test_packets_keep_their_boundaries(pair: tuple[socket.socket, ChildEnd]) -> None:
    main, child = pair
    one, two, three = (StagingProgress(number) for number in (1, 2, 3))
    main.send(pack([Envelope(one), Envelope(two)]))
    main.send(pack([Envelope(three)]))
    assert [[envelope.message for envelope in child.receive(5) or ()] for _ in range(2)] == [[one, two], [three]]


def test_silence_is_an_empty_tuple(pair: tuple[socket.socket, ChildEnd]) -> None:
    _, child = pair
    assert child.receive(0) == ()


def test_the_end_of_the_main_process_is_none(pair: tuple[socket.socket, ChildEnd]) -> None:
    main, child = pair
    main.send(pack([Envelope(ScanFailed("last words"))]))
    main.close()
    assert [envelope.message for envelope in child.receive(5) or ()] == [ScanFailed("last words")]
    assert child.receive(5) is None
    assert child.receive(5) is None


def test_the_end_of_a_main_process_that_had_not_read_everything_is_none_too(pair: tuple[socket.socket, ChildEnd]) -> None:
    """The kernel says ECONNRESET then: unix(7) does so for unread messages."""
    main, child = pair
    child.send(Envelope(ScanFailed("unread")))
    main.close()
    assert child.receive(5) is None


def test_to_send_to_a_main_process_that_is_gone_raises(pair: tuple[socket.socket, ChildEnd]) -> None:
    main, child = pair
    main.close()
    with pytest.raises(BrokenPipeError):
        child.send(Envelope(ScanFailed("anybody there?")))


@pytest.mark.parametrize(
    "message",
    [
        FileStable(FileRef("20260131", "s" * 128, LONGEST), VERSION, 1e9 / 7),
        FileRefused(FileRef("20260131", "s" * 128, LONGEST), "a reason " * 50),
    ],
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
            child.send(Envelope(ScanFailed(f"{who} {number} {'x' * 300}")))

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
        assert isinstance(message, ScanFailed)
        who, number, _ = message.error.split()
        heard[int(who)].append(int(number))
    ending.join()
    assert all(numbers == list(range(each)) for numbers in heard.values())


def test_what_waits_while_nobody_reads_goes_in_batches(pair: tuple[socket.socket, ChildEnd]) -> None:
    main, child = pair
    threads = 200

    def say(number: int) -> None:
        child.send(Envelope(ScanFailed(f"{number} {'x' * 3000}")))

    talking = [threading.Thread(target=say, args=(number,)) for number in range(threads)]
    for thread in talking:
        thread.start()
    sizes: list[int] = []
    heard: set[int] = set()
    while len(heard) < threads:
        envelopes = unpack(main.recv(PACKET))
        sizes.append(len(envelopes))
        for envelope in envelopes:
            assert isinstance(envelope.message, ScanFailed)
            heard.add(int(envelope.message.error.split()[0]))
    for thread in talking:
        thread.join()
    assert sum(sizes) == threads
    assert max(sizes) <= BATCH

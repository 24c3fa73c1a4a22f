"""The mailbox: order, bound, gate, and who is woken when."""

import asyncio

import pytest

from nfsw.actors.envelope import Envelope, Message
from nfsw.supervisor.mailbox import Mailbox
from tests.support.faketime import clock, settled


def box(*messages: Message, bound: int | None = None) -> Mailbox:
    mailbox = Mailbox(bound)
    for message in messages:
        mailbox.post(Envelope(message))
    return mailbox


def contents(mailbox: Mailbox) -> list[Message]:
    """Takes out what the gate lets go."""
    out: list[Message] = []
    while envelope := mailbox.get_now():
        out.append(envelope.message)
    return out


async def test_messages_leave_in_the_order_in_which_they_came() -> None:
    assert contents(box(1, 2, 3)) == [1, 2, 3]


async def test_whoever_waits_for_a_message_gets_the_next_one() -> None:
    mailbox = box()
    waiting = asyncio.create_task(mailbox.get())
    await settled()
    assert not waiting.done()

    mailbox.post(Envelope("news"))

    assert (await waiting).message == "news"
    assert clock().passed < 0.001


async def test_a_sender_waits_while_the_mailbox_is_full_and_goes_on_once_there_is_room() -> None:
    mailbox = box(1, 2, bound=2)
    sending = asyncio.create_task(mailbox.put(Envelope(3)))
    await settled()
    assert not sending.done()
    assert len(mailbox) == 2

    assert mailbox.get_now() == Envelope(1)
    await sending

    assert contents(mailbox) == [2, 3]


async def test_senders_that_wait_are_let_in_one_for_each_place_and_first_come_first_served() -> None:
    mailbox = box(0, bound=1)
    sending = [asyncio.create_task(mailbox.put(Envelope(number))) for number in (1, 2, 3)]
    await settled()

    order = []
    for _ in range(4):
        order.append((await mailbox.get()).message)
        await settled()
        assert len(mailbox) <= 1

    assert order == [0, 1, 2, 3]
    await asyncio.gather(*sending)


async def test_a_sender_that_gives_up_while_it_waits_leaves_nothing_behind() -> None:
    mailbox = box(1, bound=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await mailbox.put(Envelope(2))

    assert contents(mailbox) == [1]


async def test_what_something_else_bounds_is_taken_though_the_mailbox_is_full() -> None:
    mailbox = box(1, bound=1)
    mailbox.post(Envelope(2))
    assert contents(mailbox) == [1, 2]


async def test_what_is_given_back_goes_first_and_keeps_its_order() -> None:
    mailbox = box(3, 4)
    mailbox.give_back(Envelope(number) for number in (1, 2))
    assert contents(mailbox) == [1, 2, 3, 4]


async def test_what_is_given_back_wakes_whoever_waits() -> None:
    mailbox = box()
    waiting = asyncio.create_task(mailbox.get())
    await settled()
    mailbox.give_back([Envelope("again")])
    assert (await waiting).message == "again"


async def test_the_gate_keeps_the_first_message_and_all_behind_it() -> None:
    mailbox = box("big", "small")
    mailbox.gate = lambda message: message != "big"
    assert mailbox.get_now() is None
    assert len(mailbox) == 2


async def test_a_gate_that_changes_its_mind_is_asked_again_when_somebody_wakes_the_mailbox() -> None:
    mailbox = box("file")
    may_go = False
    mailbox.gate = lambda _: may_go
    waiting = asyncio.create_task(mailbox.get())
    await settled()
    assert not waiting.done()

    may_go = True
    await settled()
    assert not waiting.done(), "nobody asks a gate for fun: that would be polling"
    mailbox.wake()

    assert (await waiting).message == "file"


async def test_the_gate_is_asked_once_for_each_message_that_it_lets_go() -> None:
    """It may reserve something for the message: twice would be once too often."""
    asked: list[Message] = []
    mailbox = box(1, 2)

    def gate(message: Message) -> bool:
        asked.append(message)
        return True

    mailbox.gate = gate
    assert contents(mailbox) == [1, 2]
    assert asked == [1, 2]


async def test_what_is_unwanted_is_taken_out_and_returned_and_the_rest_keeps_its_order() -> None:
    mailbox = box(1, "a", 2, "b", 3)
    assert mailbox.remove(lambda message: isinstance(message, str)) == ["a", "b"]
    assert contents(mailbox) == [1, 2, 3]


async def test_taking_something_out_makes_room_for_a_sender_that_waits() -> None:
    mailbox = box("unwanted", bound=1)
    sending = asyncio.create_task(mailbox.put(Envelope("next")))
    await settled()
    mailbox.remove(lambda message: message == "unwanted")
    await sending
    assert contents(mailbox) == ["next"]


async def test_a_gate_may_bring_another_message_forward_and_is_asked_about_that_one_at_once() -> None:
    mailbox = box("big", "small", "smaller")

    def gate(message: Message) -> bool:
        if message == "big":
            mailbox.bring_forward(lambda other: other == "smaller")
        return message == "smaller"

    mailbox.gate = gate
    assert contents(mailbox) == ["smaller"]
    mailbox.gate = lambda _: True
    assert contents(mailbox) == ["big", "small"]


async def test_whether_something_waits_can_be_asked() -> None:
    mailbox = box(1, "a")
    assert mailbox.has(lambda message: message == "a")
    assert not mailbox.has(lambda message: message == "b")

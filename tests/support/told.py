"""What an actor told, in order, as it arrives at the other end of the channel: the other end of its `tell`."""

from nfsw.actors.channel import pack, unpack
from nfsw.actors.envelope import Envelope, Message


def passed[M: Message](message: M) -> M:
    """The message after its way through the channel, which it has to be able to pass as it is."""
    [envelope] = unpack(pack([Envelope(message)]))
    assert envelope.message == message
    assert isinstance(envelope.message, type(message))
    return envelope.message


class Told(list[Message]):
    def __call__(self, message: Message) -> None:
        self.append(passed(message))

    def of[T](self, kind: type[T]) -> list[T]:
        return [message for message in self if isinstance(message, kind)]

    def taken(self) -> list[Message]:
        """All of it since the last call."""
        taken = list(self)
        self.clear()
        return taken

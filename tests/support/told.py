"""What an actor told, in order: the other end of its `tell`."""

from nfsw.actors.envelope import Message


class Told(list[Message]):
    def __call__(self, message: Message) -> None:
        self.append(message)

    def of[T](self, kind: type[T]) -> list[T]:
        return [message for message in self if isinstance(message, kind)]

    def taken(self) -> list[Message]:
        """All of it since the last call."""
        taken = list(self)
        self.clear()
        return taken

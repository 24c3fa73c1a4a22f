"""The blob service of the simulation, as one Uploader's life reaches it: requests that arrive late, answers that do not.

What a request does to the blobs happens at one instant, in the service. A request that is under way when its sender dies
may still arrive, as a packet in a buffer does.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import AsyncIterator, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from nfsw.actors.manifest import Block
from tests.support.memory_store import MemoryStore, no_answer

if TYPE_CHECKING:
    from tests.simulation.child import SimulatedChild
    from tests.simulation.world import World

#: The longest time that a request or an answer is on its way, in seconds.
_WAY_S = 0.05

#: When the request that the service is at was sent (seconds, monotonic).
_sent_at: ContextVar[float] = ContextVar("sent_at", default=0.0)


class Service(MemoryStore):
    """The account's container. Tells the world what is committed."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.states_checksum = False  # as Azurite: every blob is read back, so there is one moment more in which something can happen
        self._world = world
        self._committed_at: dict[str, float] = {}  # when each blob became what it is (seconds, monotonic)

    def _keep(self, blob: str, kept: object) -> None:
        before = self.blobs.get(blob)
        super()._keep(blob, kept)  # type: ignore[arg-type]
        self._world.committed(blob, self.blobs[blob], before, sent_again=self._committed_at.get(blob, math.inf) < _sent_at.get())
        self._committed_at[blob] = time.monotonic()


class SimulatedStore:
    """What one Uploader's life sees of the service. Stands for `nfsw.actors.azure_store.Store`."""

    def __init__(self, child: SimulatedChild) -> None:
        self._child = child
        self._service = child.world.service
        self._rng = child.world.rng

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._service, name)
        if not inspect.iscoroutinefunction(asked):
            return asked

        async def ask(*arguments: object, **more: object) -> object:
            about = next((argument for argument in arguments if isinstance(argument, str)), "")
            return await self._asks(f"{name} {about}", asked(*arguments, **more))

        return ask

    async def stage(self, blob: str, block_id: str, block: Block, body: AsyncIterator[bytes], *more: Any, **named: Any) -> None:
        try:
            data = b"".join([piece async for piece in body])
        except Exception as error:
            raise no_answer() from error

        async def sent() -> AsyncIterator[bytes]:
            yield data

        await self._asks(f"stage {blob} {block.index}", self._service.stage(blob, block_id, block, sent(), *more, **named))

    async def _asks[T](self, what: str, request: Coroutine[object, object, T]) -> T:
        """The answer, after as long as request and answer take."""
        self._child.world.event(self._child.who, what)

        sent_at = time.monotonic()

        async def arrives() -> T:
            _sent_at.set(sent_at)
            await asyncio.sleep(self._rng.uniform(0, _WAY_S))
            return await request

        under_way = self._child.world.detached(arrives(), what)
        try:
            return await asyncio.shield(under_way)
        except asyncio.CancelledError:
            if not self._child.alive and self._rng.random() < 0.5:
                under_way.cancel()
            raise
        finally:
            request.close()  # in case it never arrived
            if self._child.alive:
                await asyncio.sleep(self._rng.uniform(0, _WAY_S))

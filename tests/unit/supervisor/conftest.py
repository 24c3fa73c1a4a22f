"""No real time passes in here: every test runs on a loop whose clock jumps to the next timer."""

from collections.abc import Callable, Mapping

from tests.support.faketime import FakeTimeLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], FakeTimeLoop]]:
    return {"fake time": FakeTimeLoop}

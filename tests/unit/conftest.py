"""No real time passes in here: every coroutine runs on a loop whose clock jumps to the next timer."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.support.faketime import FakeTimeLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], FakeTimeLoop]]:
    return {"fake time": FakeTimeLoop}


@pytest.fixture(autouse=True)
def _asyncio_has_nothing_to_say(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An exception that nobody took from its task is logged by asyncio alone, and is a failure here."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.name == "asyncio"] == []

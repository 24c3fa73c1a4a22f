"""One Chromium for a file of tests; a tab, and a service behind the page, for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.browser.chromium import Page, browser, chromium, new_page
from tests.support.memory_service import MemoryService
from tests.support.serving import served


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


@pytest.fixture
def url(service: MemoryService) -> Iterator[str]:
    with served(service) as url:
        yield url


@pytest.fixture(scope="module")
def tools() -> Iterator[str]:
    program = chromium()
    assert program is not None
    with browser(program) as tools:
        yield tools


@pytest.fixture
async def page(tools: str) -> AsyncIterator[Page]:
    async with new_page(tools) as page:
        yield page

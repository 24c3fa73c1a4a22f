"""A page of another site in real Chromium: what it sends to the service is refused, whichever way it is sent."""

from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.browser.chromium import Page, browser, chromium, new_page
from tests.support.memory_service import ACTIVE, MemoryService
from tests.support.serving import served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine"),
]


class _Stranger(BaseHTTPRequestHandler):
    """A site with an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>stranger</title>")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def stranger() -> Iterator[str]:
    """The URL of another site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://stranger.example:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def service() -> MemoryService:
    return MemoryService(ACTIVE)


@pytest.fixture
def url(service: MemoryService) -> Iterator[str]:
    with served(service) as url:
        yield url


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    program = chromium()
    assert program is not None
    with browser(program) as tools:
        async with new_page(tools) as page:
            yield page


@pytest.mark.parametrize("path", ["/v1/watch/stop", "/v1/uploads/pause"])
async def test_a_form_of_another_site_changes_nothing(page: Page, service: MemoryService, url: str, stranger: str, path: str) -> None:
    await page.open(stranger)
    await page.evaluate(f"""new Promise((resolve) => {{
        const frame = document.createElement("iframe");
        frame.name = "answer";
        const form = document.createElement("form");
        form.method = "post";
        form.enctype = "text/plain";
        form.action = "{url}{path}";
        form.target = "answer";
        document.body.append(frame, form);
        frame.onload = () => resolve(true);
        form.submit();
    }})""")
    assert service.now == ACTIVE


async def test_a_script_of_another_site_changes_nothing_and_reads_nothing(
    page: Page, service: MemoryService, url: str, stranger: str
) -> None:
    await page.open(stranger)
    sent = f"fetch('{url}/v1/uploads/pause', {{method: 'POST', mode: 'no-cors'}}).then((answer) => answer.type, String)"
    assert await page.evaluate(sent) == "opaque", "it was sent and answered"
    assert service.now == ACTIVE
    assert "TypeError" in await page.evaluate(f"fetch('{url}/v1/watch/status').then((answer) => answer.text(), String)")


async def test_a_name_of_another_site_that_leads_to_the_service_shows_nothing_of_it(page: Page, url: str) -> None:
    port = url.rpartition(":")[2]
    for path in ("/", "/v1/watch/status"):
        await page.open(f"http://stranger.example:{port}{path}")
        shown = await page.text("body")
        assert "421" in shown
        assert "s1" not in shown

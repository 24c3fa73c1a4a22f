"""axe finds no barrier in the status page: in each of its states, on a desktop and a phone, light and dark; and nothing moves sideways."""

import dataclasses
from typing import Any

import pytest

from nfsw.supervisor.status import Status
from tests.browser.chromium import Page, chromium
from tests.support.azurite import CHECKOUT
from tests.support.memory_service import ACTIVE, BUSY, HISTORY, HUNG, IDLE, MemoryService, in_flight
from tests.support.serving import served

AXE = CHECKOUT / "node_modules/axe-core/axe.min.js"
LONG = in_flight("recording/" + "x" * 240 + ".bin", error="e" * 500)
STATES = {"idle": IDLE, "ok": ACTIVE, "busy": BUSY, "trouble": dataclasses.replace(HUNG, in_flight=(*HUNG.in_flight, LONG))}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(not AXE.exists(), reason="axe is not installed: make setup-node"),
]


async def barriers(page: Page) -> list[tuple[str, Any]]:
    """What axe finds, and where."""
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run(document)")
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("status", STATES.values(), ids=STATES)
async def test_nobody_is_kept_out_and_nothing_scrolls_sideways(
    page: Page, service: MemoryService, url: str, status: Status, width: int, scheme: str
) -> None:
    service.now, service.finished = status, HISTORY
    await page.resize(width, scheme)
    await page.open(url)
    await page.until("document.querySelector('#link').innerText.includes('Connected')")
    await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    await page.until("document.querySelectorAll('#finished li').length === 2")
    assert await barriers(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
async def test_neither_when_the_connection_is_lost(page: Page, width: int, scheme: str) -> None:
    await page.resize(width, scheme)
    with served(MemoryService(HUNG)) as url:
        await page.open(url)
        await page.until("document.querySelector('#link').innerText.includes('Connected')")
    await page.until("document.querySelector('#word').innerText === 'Not connected'")
    assert await barriers(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= width

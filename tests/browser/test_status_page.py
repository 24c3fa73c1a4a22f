"""The status page in real Chromium: what it shows, how it is used with the keyboard, and what it does when the line is gone."""

import dataclasses
import re

import pytest

from nfsw.actors.stability import Rule
from nfsw.supervisor.status import Kept, SessionState, Stability
from tests.browser.chromium import Page, chromium
from tests.support.memory_service import ACTIVE, BUSY, HUNG, IDLE, MemoryService, in_flight
from tests.support.serving import served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine"),
]


async def test_everything_of_a_busy_service_is_shown_and_hostile_names_are_text(page: Page, service: MemoryService, url: str) -> None:
    service.now, service.limit = HUNG, 2_097_152
    await page.open(url)
    await page.until("document.querySelectorAll('#files > li').length === 5")
    shown = await page.text("body")
    for text in (
        "Connected",
        "s1: active since",
        "2.0 MiB/s",
        "1.0 GiB of 10.0 GiB (10%)",
        "113 MiB/s",
        "1 min 22 s left",
        "attempt 4",
        "Error: 503 ServerBusy",
        "next attempt in 17 s",
        "<img src=x onerror=document.title='owned'>\\u001b[2J\\u000a\\u202egnp.exe",
        "caf\\xe9.bin",
        "scandir incoming/s1 for 43 s",
        "a file of 3.0 GiB waits for room in staging",
    ):
        assert text in shown, text
    assert await page.evaluate("document.querySelectorAll('progress:indeterminate').length") == 0
    assert await page.evaluate("document.images.length") == 0
    assert await page.evaluate("document.title") == "Trouble (5) · s1 · nfsw"
    assert page.complaints == []


async def test_of_very_many_files_some_are_shown_and_the_others_counted(page: Page, service: MemoryService, url: str) -> None:
    files = tuple(in_flight(f"{number}.bin") for number in range(1000))
    service.now = dataclasses.replace(BUSY, in_flight=files, files=dataclasses.replace(BUSY.files, staging=0, uploading=2500))
    await page.open(url)
    await page.until("document.querySelector('#more-files').innerText === 'and 2400 more'")
    assert await page.evaluate("document.querySelectorAll('#files > li').length") == 100
    assert await page.evaluate("document.title") == "OK (2500) · s1 · nfsw"
    service.now = BUSY
    await page.until("document.querySelector('#more-files').hidden")


async def test_open_and_hidden_files_and_the_rule_in_force_are_shown(page: Page, service: MemoryService, url: str) -> None:
    service.now = dataclasses.replace(
        BUSY, files=dataclasses.replace(BUSY.files, open_for_writing=3, waiting_for_marker=7), kept=Kept(4, 9 * 2**30)
    )
    await page.open(url)
    await page.until("document.querySelector('#counts').innerText.includes('Open for writing')")
    counts = (await page.text("#counts")).split("\n")
    shown = dict(zip(counts[::2], counts[1::2], strict=True))
    assert shown["Kept on NFS"] == "4, 9.0 GiB"
    assert (shown["Open for writing"], shown["Refused"], shown["Hidden (.name)"], shown["Waiting for their marker"]) == ("3", "2", "5", "7")
    assert await page.text("#rule") == "Files are taken when nobody has them open for writing: leases are granted (nfs4)."
    service.now = dataclasses.replace(service.now, stability=Stability(Rule.TIME, "leases are refused (nfs4)"))
    await page.until("document.querySelector('#rule').innerText.includes('without a change')")
    assert "APP_WRITEBACK_AGE_S" in await page.text("#rule")
    assert "leases are refused (nfs4)" in await page.text("#rule")
    service.now = dataclasses.replace(IDLE, stability=None)
    await page.until("document.querySelector('#rule').innerText === ''")
    assert "Hidden" not in await page.text("#counts"), "there are none"


async def test_files_that_move_keep_their_place_in_the_page(page: Page, service: MemoryService, url: str) -> None:
    service.now = dataclasses.replace(ACTIVE, in_flight=(in_flight("a.bin"), in_flight("b.bin")))
    await page.open(url)
    await page.until("document.querySelectorAll('#files > li').length === 2")
    await page.evaluate("(() => { document.querySelectorAll('#files > li')[1].kept = true; })()")
    service.now = dataclasses.replace(ACTIVE, in_flight=(in_flight("b.bin", done=5 * 2**30), in_flight("c.bin")))
    await page.until("document.querySelector('#files').innerText.includes('(50%)')")
    assert await page.evaluate("[...document.querySelectorAll('#files > li')].map((row) => row.kept === true)") == [True, False]


async def test_a_session_is_started_and_stopped_with_the_keyboard_alone(page: Page, service: MemoryService, url: str) -> None:
    await page.open(url)
    await page.until("!document.querySelector('#start').hidden")
    await page.tab()
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.enter()
    await page.tab()
    assert await page.focused() == "name"
    await page.type("from-the-page")
    await page.enter()
    await page.until("document.querySelector('#session').innerText.startsWith('from-the-page: active')")
    assert service.now.session is not None
    assert service.now.session.name == "from-the-page"

    assert await page.focused() == "session", "the focus stays near"
    await page.tab()
    assert await page.focused() == "stop"
    service.now = dataclasses.replace(BUSY, session=service.now.session)
    await page.enter()
    await page.until("document.querySelector('#session').innerText.includes('stopped')")
    assert service.now.session is not None
    assert service.now.session.state is SessionState.DRAINING


async def test_uploads_are_paused_and_resumed_and_limited(page: Page, service: MemoryService, url: str) -> None:
    await page.open(url)
    await page.until("!document.querySelector('#pause').hidden")
    await page.evaluate("document.querySelector('#pause').click()")
    await page.until("document.querySelector('#pause').innerText === 'Resume uploads'")
    assert service.now.uploads == "paused"
    await page.evaluate("document.querySelector('#pause').click()")
    await page.until("document.querySelector('#uploads').innerText === 'Running'")

    await page.evaluate("(document.querySelector('#rate').closest('details').open = true, document.querySelector('#rate').focus())")
    await page.type("1.5")
    await page.enter()
    await page.until("document.querySelector('#limit').innerText === '1.5 MiB/s'")
    assert service.limit == 1_572_864
    await page.enter()
    await page.until("document.querySelector('#limit').innerText === 'none'")
    assert service.limit is None


async def test_a_no_of_the_service_is_shown_as_an_alert(page: Page, service: MemoryService, url: str) -> None:
    service.held_elsewhere["s2"] = "pod-7"
    await page.open(url)
    await page.until("!document.querySelector('#start').hidden")
    await page.evaluate("document.querySelector('#name').focus()")
    await page.type("s2")
    await page.enter()
    await page.until("document.querySelector('#alert').innerText === 'Start: session s2 is held by pod-7'")
    assert await page.evaluate("document.querySelector('#name').value") == "s2", "what was typed is not lost"


async def test_a_lost_connection_is_told_and_found_again(page: Page, port: int) -> None:
    with served(MemoryService(BUSY), port) as url:
        await page.open(url)
        await page.until("document.querySelector('#link').innerText.includes('Connected')")
    await page.until("document.querySelector('#link').innerText.includes('Connection lost')")
    assert await page.text("#word") == "Not connected"
    assert re.fullmatch(r"How it is now is not known\. At .+ it was OK: 8 files are on the way to Azure\.", await page.text("#reason"))
    assert await page.evaluate("document.title") == "(connection lost) nfsw"
    with served(MemoryService(ACTIVE), port):
        await page.until("document.querySelector('#link').innerText.includes('Connected')")
        assert await page.text("#word") == "OK"
        await page.until("document.querySelectorAll('#files > li').length === 0")


async def test_a_screen_reader_is_told_of_every_part(page: Page, service: MemoryService, url: str) -> None:
    service.now = HUNG
    await page.open(url)
    await page.until("document.querySelectorAll('#files > li').length === 5")
    told = await page.accessibility()
    roles = {role for role, _ in told}
    assert {"banner", "main", "contentinfo", "status", "alert", "table"} <= roles
    for role, name in told:
        if role in {"button", "textbox", "spinbutton", "combobox", "progressbar", "progressIndicator", "region", "image", "link"}:
            assert name, f"a {role} without a name"
    bars = [name for role, name in told if role in {"progressbar", "progressIndicator"}]
    assert bars[0] == "camera-left_20260131T115900.mp4"
    assert len(bars) == 5
    headings = [name for role, name in told if role == "heading"]
    assert headings[:2] == ["nfsw", "Is everything all right?"]
    assert ("term", "Backlog gone in") in told


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_phone_never_scrolls_sideways(page: Page, service: MemoryService, url: str, path: str, scheme: str) -> None:
    longest = in_flight("x" * 240 + ".bin", error="e" * 500)
    service.now = dataclasses.replace(HUNG, in_flight=(*HUNG.in_flight, longest))
    await page.resize(320, scheme)
    await page.open(url + path)
    await page.until("document.querySelectorAll('#files > li, #schemas section').length > 5")
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    dark = await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)"
    assert dark == (scheme == "dark")
    assert page.complaints == []

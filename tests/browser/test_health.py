"""The top of the status page in real Chromium: one word, why, since when, and what is to be expected; and the files that were finished."""

import dataclasses
from datetime import timedelta

import pytest

from nfsw.supervisor.health import Condition, Health, HealthState, Kind
from nfsw.supervisor.status import Backlog, Disk, Disks, FileHistory
from tests.browser.chromium import Page, chromium
from tests.support.memory_service import ACTIVE, BUSY, HISTORY, HUNG, IDLE, NOON_SHARP, MemoryService

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine"),
]


async def shown(page: Page, word: str) -> tuple[str, str]:
    """The colour of the box and the reason, once the word is there."""
    await page.until(f"document.querySelector('#word').innerText === '{word}'")
    return str(await page.evaluate("document.querySelector('#health').className")), await page.text("#reason")


async def test_the_word_and_the_reason_come_first_and_follow_the_service(page: Page, service: MemoryService, url: str) -> None:
    await page.open(url)
    assert await shown(page, "Waiting") == ("wide waiting", "No session is active in this pod. It has been so for 3 h 20 min.")
    service.now = ACTIVE
    assert await shown(page, "OK") == ("wide ok", "No file waits to be sent.")
    service.now = HUNG
    box, reason = await shown(page, "Trouble")
    assert box == "wide trouble"
    assert reason == "Scanner has waited for NFS in scandir incoming/s1 for 42 s. It has been so for 3 h 20 min."
    assert page.complaints == []


async def test_the_other_conditions_are_listed_with_their_time_and_the_reason_is_not_said_twice(
    page: Page, service: MemoryService, url: str
) -> None:
    hostile = Condition(Kind.REFUSED, HealthState.TROUBLE, "1 file is refused", "<b>\u202egnp: no", NOON_SHARP + timedelta(hours=3))
    opened = Condition(Kind.OPEN, HealthState.OK, "the writers of 1 file", None, NOON_SHARP)
    service.now = dataclasses.replace(HUNG, conditions=(*HUNG.conditions, hostile, opened))
    await page.open(url)
    await page.until("document.querySelectorAll('#conditions li').length === 3")
    assert (await page.text("#conditions")).splitlines() == [
        "Waiting a file of 3.0 GiB waits for room in staging for 3 h 20 min",
        r"Trouble 1 file is refused: <b>\u202egnp: no for 20 min 00 s",
        "Note the writers of 1 file for 3 h 20 min",
    ]
    service.now = ACTIVE
    await page.until("document.querySelector('#conditions').hidden")


@pytest.mark.parametrize(
    ("backlog", "said"),
    [
        (BUSY.backlog, "3 h 17 min\n1234 files, 1.3 TiB at 113 MiB/s"),
        (Backlog(0, 0, NOON_SHARP, 0.0, 0.0), "Nothing waits"),
        (Backlog(1, 100, NOON_SHARP, None, None), "Not known yet\n1 file, 100 B"),
        (Backlog(2, 100, NOON_SHARP, 50.0, 2.0, 2**20), "2 s\n2 files, 100 B at 50 B/s, limited to 1.0 MiB/s"),
        (Backlog(2, 100, NOON_SHARP, 0.0, None), "Never: nothing leaves\n2 files, 100 B"),
        (Backlog(2, 100, None, 50.0, 2.0), "2 s\n2 files, 100 B at 50 B/s, without incoming, which has not been counted yet"),
    ],
)
async def test_when_the_backlog_is_gone_is_said_and_so_is_that_it_is_not_known(
    page: Page, service: MemoryService, url: str, backlog: Backlog, said: str
) -> None:
    service.now = dataclasses.replace(ACTIVE, backlog=backlog)
    await page.open(url)
    await shown(page, "OK")
    assert await page.text("#backlog") == said


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        (BUSY.disks.export, "13 h 39 min\n412 GiB of 2.0 TiB free"),
        (Disk(2000, 1000, NOON_SHARP, -5.0, None), "Not filling\n1000 B of 2.0 KiB free"),
        (Disk(2000, 1000, NOON_SHARP, None, None), "Not known yet\n1000 B of 2.0 KiB free"),
        (None, "Not known yet"),
    ],
)
async def test_when_the_export_is_full_is_said_and_so_is_that_it_is_not_known(
    page: Page, service: MemoryService, url: str, disk: Disk | None, said: str
) -> None:
    service.now = dataclasses.replace(ACTIVE, disks=Disks(disk, disk))
    await page.open(url)
    await shown(page, "OK")
    assert await page.text("#export") == said
    assert (await page.text("#staging")).startswith("0 B of 90.0 GiB")


async def test_what_does_not_change_is_not_written_again(page: Page, service: MemoryService, url: str) -> None:
    service.now = BUSY
    await page.open(url)
    await shown(page, "OK")
    changed = await page.evaluate("""new Promise((resolve) => {
        const changes = [];
        const watching = new MutationObserver((all) => { changes.push(...all.map((one) => `${one.type} of ${one.target.outerHTML}`)); });
        watching.observe(document.querySelector("main"), { childList: true, characterData: true, attributes: true, subtree: true });
        source.addEventListener("status", () => setTimeout(() => resolve(changes)), { once: true });
    })""")
    assert changed == []


# --- Finished files ---


async def test_finished_files_are_asked_for_when_somebody_looks_and_then_only_the_new_ones(
    page: Page, service: MemoryService, url: str
) -> None:
    service.now, service.finished = BUSY, dataclasses.replace(HISTORY, files=HISTORY.files[1:])
    await page.command("Network.enable")
    await page.open(url)
    await shown(page, "OK")
    asked = "performance.getEntriesByType('resource').map((one) => one.name).filter((name) => name.includes('history')).length"
    assert await page.evaluate(asked) == 0
    await page.evaluate("document.querySelector('#finished').open = true")
    await page.until("document.querySelectorAll('#finished li').length === 1")
    service.finished = HISTORY
    service.now = dataclasses.replace(BUSY, files=dataclasses.replace(BUSY.files, completed=18))
    await page.until("document.querySelectorAll('#finished li').length === 2")
    assert (await page.text("#finished li")).splitlines()[0] == "<b>lidar</b>.dat"
    for text in ("2026-01-31 12:01:10 UTC", "700 MiB", "in 6 s", "113 MiB/s", "20260131/s1", "2 attempts"):
        assert text in await page.text("#finished ul"), text
    assert await page.evaluate("performance.getEntriesByType('resource').at(-1).name") == f"{url}/v1/watch/history?after=1"
    assert await page.evaluate(asked) == 2


async def test_after_a_restart_of_the_service_the_list_begins_anew(page: Page, service: MemoryService, url: str) -> None:
    service.now, service.finished = BUSY, HISTORY
    await page.open(url)
    await shown(page, "OK")
    await page.evaluate("document.querySelector('#finished').open = true")
    await page.until("document.querySelectorAll('#finished li').length === 2")
    again = dataclasses.replace(HISTORY.files[1], file="after.bin")
    service.finished = FileHistory(NOON_SHARP + timedelta(days=1), (again,))
    service.now = dataclasses.replace(BUSY, files=dataclasses.replace(BUSY.files, completed=1))
    await page.until("document.querySelector('#finished ul').innerText.startsWith('after.bin')")
    assert await page.evaluate("document.querySelectorAll('#finished li').length") == 1
    service.finished = FileHistory(NOON_SHARP + timedelta(days=2), ())
    service.now = IDLE
    await page.until("document.querySelector('#finished-since').innerText.startsWith('None since')")


async def test_a_hidden_page_asks_for_nothing_and_one_that_is_looked_at_again_is_up_to_date(
    page: Page, service: MemoryService, url: str
) -> None:
    service.now = ACTIVE
    await page.open(url)
    await shown(page, "OK")
    await page.evaluate("""(() => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
        document.dispatchEvent(new Event("visibilitychange"));
    })()""")
    assert await page.evaluate("source === null")
    service.now = dataclasses.replace(ACTIVE, health=Health(HealthState.TROUBLE, "Something is so.", NOON_SHARP))
    await page.evaluate("""(() => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => false });
        document.dispatchEvent(new Event("visibilitychange"));
    })()""")
    await shown(page, "Trouble")

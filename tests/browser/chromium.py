"""Chromium without a window, spoken to over the DevTools protocol."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.waiting import until

NAMES = ("chromium", "chromium-browser", "google-chrome")
#: No sandbox: the tests run as root on build machines. The rest keeps it from looking for its maker's servers.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP *.example 127.0.0.1",  # a stranger's name that is made to lead here
)
STARTS_WITHIN = 60.0
HAPPENS_WITHIN = 20.0


def chromium() -> str | None:
    """Where it is; None: not on this machine."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        #: What the page complained of: exceptions, console errors, violations of its policy.
        self.complaints: list[str] = []

    async def command(self, method: str, **parameters: object) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while (message := await self._socket.receive_json()).get("id") != self._number:
            match message["method"]:
                case "Runtime.exceptionThrown" | "Log.entryAdded":
                    self.complaints.append(json.dumps(message["params"]))
        assert "error" not in message, message
        return dict(message["result"])

    async def open(self, url: str) -> None:
        for domain in ("Runtime", "Log", "Page"):
            await self.command(f"{domain}.enable")
        await self.command("Page.navigate", url=url)
        await self.until("document.readyState !== 'loading'")

    async def evaluate(self, script: str) -> Any:
        answer = await self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Waits, in the page, for a script to be true."""
        waits = f"""new Promise((resolve) => {{
            const deadline = performance.now() + {HAPPENS_WITHIN * 1000};
            const look = () => ({condition}) ? resolve(true) : performance.now() > deadline ? resolve(false) : setTimeout(look, 20);
            look();
        }})"""
        assert await self.evaluate(waits), f"never true: {condition}"

    async def text(self, selector: str) -> str:
        return str(await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def press(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            await self.command(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text if kind == "keyDown" else ""
            )

    async def enter(self) -> None:
        await self.press("Enter", 13, "\r")

    async def tab(self) -> None:
        await self.press("Tab", 9)

    async def type(self, text: str) -> None:
        await self.command("Input.insertText", text=text)

    async def focused(self) -> str:
        """The id of what has the focus, or its tag where it has none."""
        return str(await self.evaluate("document.activeElement.id || document.activeElement.tagName"))

    async def resize(self, width: int, scheme: str = "light") -> None:
        await self.command("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
        await self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def accessibility(self) -> list[tuple[str, str]]:
        """Role and name of all that a screen reader is told of."""
        nodes = (await self.command("Accessibility.getFullAXTree"))["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]


@contextmanager
def browser(program: str) -> Iterator[str]:
    """Runs it. The address of its DevTools."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        chosen = Path(profile, "DevToolsActivePort")
        try:
            said = until(lambda: chosen.exists() and chosen.read_text(), within=STARTS_WITHIN, what="Chromium tells its port")
            yield f"http://127.0.0.1:{str(said).split()[0]}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@asynccontextmanager
async def new_page(tools: str) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{tools}/json/new?about:blank") as tab:
            made = await tab.json(content_type=None)
        async with session.ws_connect(made["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            yield Page(socket)
        async with session.get(f"{tools}/json/close/{made['id']}"):
            """Closed."""

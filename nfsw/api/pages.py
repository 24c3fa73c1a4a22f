"""The HTML pages: the status page at `/`, and `/docs`. Main process.

Each one is a single file with its style and script inside. The box may have no way out to the internet, so nothing is
loaded from elsewhere, and the browser is told so: only that very style and script may run.
"""

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


def add_pages(app: FastAPI) -> None:
    status, docs = _page("page.html"), _page("docs.html")

    @app.get("/", tags=["pages"], summary="The status page", response_class=HTMLResponse, response_description="The page.")
    async def status_page() -> Response:
        return status

    @app.get("/docs", tags=["pages"], summary="This documentation as a page", response_class=HTMLResponse, response_description="The page.")
    async def docs_page() -> Response:
        return docs


def _page(name: str) -> Response:
    """Made once: it never changes, and an answer without state can be sent as often as one likes."""
    html = files("nfsw.api").joinpath(name).read_text("utf-8")
    headers = {
        "Content-Security-Policy": policy(html),
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(html, headers=headers)


def policy(html: str) -> str:
    """The Content-Security-Policy under which `html` works, and nothing that gets into it by way of its data."""
    hashes: dict[str, list[str]] = {"style": [], "script": []}
    for kind, text in _INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {' '.join(hashes['style'])}",
            f"script-src {' '.join(hashes['script'])}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )

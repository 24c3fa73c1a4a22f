"""The HTML pages: the status page at `/`, and `/docs`. Main process.

Each one is a single file with its style and script inside. The box may have no way out to the internet, so nothing is
loaded from elsewhere, and the browser is told so: only that very style and script may run.
"""

import base64
import gzip
import hashlib
import re
from importlib.resources import files

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


def add_pages(app: FastAPI) -> None:
    status, docs = _Page("page.html"), _Page("docs.html")

    @app.get("/", tags=["pages"], summary="The status page", response_class=HTMLResponse, response_description="The page.")
    async def status_page(request: Request) -> Response:
        return status.answer(request)

    @app.get("/docs", tags=["pages"], summary="This documentation as a page", response_class=HTMLResponse, response_description="The page.")
    async def docs_page(request: Request) -> Response:
        return docs.answer(request)


class _Page:
    """Its answers are made once: they never change, and one without state can be sent as often as one likes."""

    def __init__(self, name: str) -> None:
        html = files("nfsw.api").joinpath(name).read_text("utf-8")
        headers = {
            "Content-Security-Policy": policy(html),
            "Cache-Control": "no-cache",
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        self._plain = HTMLResponse(html, headers=headers)
        self._zipped = HTMLResponse(gzip.compress(html.encode(), mtime=0), headers={**headers, "Content-Encoding": "gzip"})

    def answer(self, request: Request) -> Response:
        """Zipped, a third is left of it: whoever looks may have a phone on a thin line."""
        takes = [one.strip() for one in request.headers.get("Accept-Encoding", "").split(",")]
        return self._zipped if "gzip" in takes else self._plain


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

"""What links can lead to in our Markdown files: headings, by the name that a link gives them."""

import re
from collections.abc import Iterator

from tests.deploy.overlays import CHECKOUT

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def read(path: str) -> str:
    """A file of the checkout."""
    return (CHECKOUT / path).read_text()


def anchors(text: str) -> list[str]:
    """One for each heading, as GitHub and most others make them."""
    return [_anchor(heading) for _, heading in _headings(text)]


def sections(text: str) -> dict[str, list[str]]:
    """By the anchor of each heading of the second level: that anchor, and those of the headings below it."""
    found: dict[str, list[str]] = {}
    below: list[str] = []
    for level, heading in _headings(text):
        if level == 2:
            below = found.setdefault(_anchor(heading), [])
        below.append(_anchor(heading))
    return found


def links(text: str) -> list[str]:
    return _LINK.findall(_FENCE.sub("", text))


def _headings(text: str) -> Iterator[tuple[int, str]]:
    for marks, heading in _HEADING.findall(_FENCE.sub("", text)):
        yield len(marks), heading


def _anchor(heading: str) -> str:
    words = re.sub(r"[^\w\- ]", "", heading.lower())
    return words.replace(" ", "-")

"""Bars with their spread as SVG: small, no library, readable on a light and on a dark page. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tools.bench.figures import Spread

WIDTH, RIGHT = 760, 80
BAR, GAP, GROUP_GAP, TOP, FOOT = 18, 4, 18, 46, 16
COLOURS = ("#2563a8", "#c2571a", "#5b7f2b", "#7a4fa3", "#8a8a8a")
STYLE = (
    "text{font:13px sans-serif;fill:#24292f}.t{font-weight:bold;font-size:15px}.v{font-size:12px}.w{stroke:#24292f;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.w{stroke:#e6edf3}}"
)


@dataclass(frozen=True, slots=True)
class Bars:
    """One group of bars: a case, and a figure for each side."""

    label: str
    spreads: Mapping[str, Spread]


def draw(title: str, unit: str, groups: Sequence[Bars]) -> str:
    """Horizontal bars as long as the medians, each with a line from its least to its greatest value. Every group has a scale of its own."""
    sides = list(dict.fromkeys(side for group in groups for side in group.spreads))
    parts = [f'<text class="t" x="0" y="16">{escape(title)} ({escape(unit)})</text>', *_legend(sides)]
    y = TOP
    for group in groups:
        parts.append(f'<text x="0" y="{y + BAR - 4}">{escape(group.label)}</text>')
        y += BAR + GAP
        most = max((spread.most for spread in group.spreads.values()), default=0) or 1
        scale = (WIDTH - RIGHT) / most
        for side, spread in group.spreads.items():
            parts.extend(_bar(y, COLOURS[sides.index(side) % len(COLOURS)], spread, scale))
            y += BAR + GAP
        y += GROUP_GAP
    height = y - GROUP_GAP + FOOT
    body = "\n".join(parts)
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
    return f"{opening}\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n"


def number(value: float) -> str:
    """Three figures that count, and no more."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _legend(sides: Sequence[str]) -> list[str]:
    parts, x = [], 0
    for index, side in enumerate(sides):
        colour = COLOURS[index % len(COLOURS)]
        parts.append(f'<rect x="{x}" y="25" width="12" height="12" fill="{colour}"/><text x="{x + 17}" y="35">{escape(side)}</text>')
        x += 35 + 8 * len(side)
    return parts


def _bar(y: int, colour: str, spread: Spread, scale: float) -> list[str]:
    end, low, high = (value * scale for value in (spread.median, spread.least, spread.most))
    centre = y + BAR / 2
    return [
        f'<rect x="0" y="{y}" width="{end:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<line class="w" x1="{low:.1f}" y1="{centre}" x2="{high:.1f}" y2="{centre}"/>',
        f'<text class="v" x="{max(end, high) + 6:.1f}" y="{y + BAR - 4}">{number(spread.median)}</text>',
    ]

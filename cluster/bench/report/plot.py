"""Plot: tokens per second of every row, ours and the peers', as an SVG. Pure, standard library only."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from xml.sax.saxutils import escape

from cluster.bench.summary import Result

COLOURS = ("#0072b2", "#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#999999")  # Okabe and Ito, told apart by all
BAR_PX, GAP_PX, PLOT_PX = 22, 26, 240
LABEL_PX, TITLE_CHAR_PX = 60, 8  # room for "tg128 x16", and for a bold letter
LEFT_PX, TOP_PX, BOTTOM_PX, KEY_LINE_PX = 56, 16, 30, 18


def plot_svg(results: Sequence[Result], title: str) -> str:
    """Bars at the median of the runs, whiskers from the lowest to the highest."""
    names = ["ours", *dict.fromkeys(peer.name for result in results for peer in result.peers)]
    group_px = max(len(names) * BAR_PX, LABEL_PX) + GAP_PX
    key_px = TOP_PX + KEY_LINE_PX * (len(names) + 1)
    width = max(LEFT_PX + group_px * len(results) + GAP_PX, LEFT_PX + TITLE_CHAR_PX * len(title))
    height = key_px + PLOT_PX + BOTTOM_PX
    top = max((max(runs) for result in results for runs in _runs(result).values()), default=1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(LEFT_PX, TOP_PX, title, weight="bold"),
    ]
    for place, name in enumerate(names):
        y = TOP_PX + KEY_LINE_PX * (place + 1)
        parts.append(f'<rect x="{LEFT_PX}" y="{y - 10}" width="12" height="12" fill="{_colour(place)}"/>')
        parts.append(_text(LEFT_PX + 18, y, name))
    parts += _axis(top, key_px, width)
    for group, result in enumerate(results):
        x = LEFT_PX + GAP_PX // 2 + group * group_px
        parts.append(_text(x, key_px + PLOT_PX + 18, result.workload.name))
        for place, name in enumerate(names):
            if runs := _runs(result).get(name):
                parts += _bar(x + place * BAR_PX, key_px, runs, top, _colour(place))
    return "\n".join([*parts, "</svg>", ""])


def _runs(result: Result) -> dict[str, Sequence[float]]:
    found: dict[str, Sequence[float]] = {"ours": result.tokens_per_s}
    return found | {peer.name: peer.tokens_per_s for peer in result.peers}


def _bar(x: int, above_px: int, runs: Sequence[float], top: float, colour: str) -> list[str]:
    middle, low, high = (
        above_px + PLOT_PX * (1 - value / top) for value in (statistics.median(runs), min(runs), max(runs))
    )
    centre = x + BAR_PX / 2 - 1
    bottom = above_px + PLOT_PX
    return [
        f'<rect x="{x}" y="{middle:.1f}" width="{BAR_PX - 2}" height="{bottom - middle:.1f}" fill="{colour}"/>',
        f'<line x1="{centre}" y1="{low:.1f}" x2="{centre}" y2="{high:.1f}" stroke="black"/>',
    ]


def _axis(top: float, above_px: int, width: int) -> list[str]:
    parts = []
    for quarter in range(5):
        y = above_px + PLOT_PX * (1 - quarter / 4)
        parts.append(f'<line x1="{LEFT_PX}" y1="{y:.1f}" x2="{width - 8}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(_text(LEFT_PX - 6, round(y) + 4, f"{top * quarter / 4:.3g}", anchor="end"))
    parts.append(_text(LEFT_PX - 6, above_px - 8, "t/s", anchor="end"))
    return parts


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _text(x: int, y: int, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'

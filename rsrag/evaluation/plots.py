"""Small charts as SVG text: values with intervals, and curves over a sweep. They need no script and no font."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

# Okabe and Ito's palette, which people tell apart whatever colours they see.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#b8a200")
_ROW, _LEFT, _WIDTH = 22, 170, 620


def bars(values: Mapping[str, tuple[float, float, float]], top: float = 1.0) -> str:
    """One bar per name from 0 to `top`: (value, low, high), with a whisker where low and high are known."""
    shown = {name: v for name, v in values.items() if not math.isnan(v[0])}
    if not shown:
        return ""
    span = _WIDTH - _LEFT - 60
    height = _ROW * len(shown) + 24
    parts = [_open(_WIDTH, height)]
    for mark in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _LEFT + span * mark
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 20}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle" class="small">{top * mark:g}</text>')
    for row, (name, (value, low, high)) in enumerate(shown.items()):
        y = row * _ROW + 4
        wide = span * min(max(value / top, 0.0), 1.0)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(_short(name))}</text>')
        parts.append(f'<rect x="{_LEFT}" y="{y}" width="{wide:.1f}" height="14" fill="{COLOURS[0]}" rx="2"/>')
        end = _LEFT + wide
        if not math.isnan(low):
            x1, x2 = (_LEFT + span * min(max(v / top, 0.0), 1.0) for v in (low, high))
            parts.append(f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y + 7}" y2="{y + 7}" class="whisker"/>')
            end = max(end, x2)
        parts.append(f'<text x="{end + 6:.1f}" y="{y + 11}">{value:.3f}</text>')
    return "".join([*parts, "</svg>"])


def curves(series: Mapping[str, Sequence[tuple[float, float]]], across: str, title: str) -> str:
    """Lines of (x, y) points, with a legend; `across` names the x axis."""
    points = [p for line in series.values() for p in line if not math.isnan(p[1])]
    if not points:
        return ""
    xs, ys = sorted({x for x, _ in points}), [y for _, y in points]
    low, high = min(ys), max(ys)
    room = (high - low) * 0.1 or max(abs(high) * 0.05, 0.01)
    low, high = low - room, high + room
    left, width, height, tall = 60, 620, 250 + 18 * len(series), 220

    def x_of(x: float) -> float:
        if len(xs) == 1:
            return (left + width - 20) / 2
        return left + (width - left - 20) * (x - xs[0]) / (xs[-1] - xs[0])

    def y_of(y: float) -> float:
        return 20 + (tall - 40) * (high - y) / (high - low)

    parts = [_open(width, height), f'<text x="{left}" y="12" class="title">{escape(title)}</text>']
    for step in range(5):
        y = low + (high - low) * step / 4
        parts.append(f'<line x1="{left}" x2="{width - 20}" y1="{y_of(y):.1f}" y2="{y_of(y):.1f}" class="grid"/>')
        parts.append(f'<text x="{left - 6}" y="{y_of(y) + 4:.1f}" text-anchor="end" class="small">{y:.3f}</text>')
    for x in xs:
        parts.append(f'<text x="{x_of(x):.1f}" y="{tall}" text-anchor="middle" class="small">{x:g}</text>')
    middle = (left + width) / 2
    parts.append(f'<text x="{middle}" y="{tall + 16}" text-anchor="middle" class="small">{escape(across)}</text>')
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        kept = [(x_of(x), y_of(y)) for x, y in sorted(line) if not math.isnan(y)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in kept]
        y = tall + 34 + 18 * number
        parts.append(f'<rect x="{left}" y="{y - 9}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{left + 18}" y="{y + 1}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def _open(width: int, height: int) -> str:
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'


def _short(name: str) -> str:
    return name if len(name) <= 26 else name[:25] + "…"

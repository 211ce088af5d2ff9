"""Plots as SVG that takes its colours from the page's style sheet.

Drawn by leather: pure Python, no dependencies, 30 kB, MIT. Of the others, matplotlib (40 MB of wheels), altair with
vl-convert (33 MB) and lets-plot (15 MB) are much to install for a few lines; pygal is as light, but its licence
(LGPL-3.0-or-later) does not combine with that of Scapy (GPL-2.0-only). leather writes its colours as presentation
attributes, over which any rule of a style sheet wins, so that one drawing serves light and dark.
"""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import leather  # type: ignore[import-untyped]

from proxyspec_reports.load import SECONDS, Line, Plot

__all__ = ["labels", "svg"]

# User units; the page scales the drawing.
_WIDTH, _HEIGHT = 560, 260
#: A figure beyond this is a broken record, and would flatten every other one.
_LARGEST = 1e12
_SMALLEST = 1e-6
_COLOURS = ("var(--line-1)", "var(--line-2)", "var(--line-3)", "var(--line-4)")
_DASHES = ("none", "7 5", "2 4", "9 3 2 3")
_NAMES = ("solid", "dashed", "dotted", "dash-dotted")


def labels(plot: Plot) -> tuple[str, ...]:
    """Name the lines that are drawn, in the order of their colours, if there is more than one to tell apart."""
    names = [line.name for line, _ in _drawn(plot)]
    styles = [index % len(_COLOURS) for index in range(len(names))]
    # A swatch shows colours only.
    labelled = [f"{name} ({_NAMES[style]})" if style else name for name, style in zip(names, styles, strict=True)]
    return tuple(labelled) if len(labelled) > 1 else ()


def svg(plot: Plot, anchor: str) -> str | None:
    """Draw the plot, or return None if no line has a value; `anchor` begins the drawing's element ids."""
    lines = _drawn(plot)
    if not lines:
        return None
    last = plot.until or max(x for _, points in lines for x, _ in points)
    highest = max(y for _, points in lines for _, y in points if y is not None)
    chart = leather.Chart()
    chart.add_x_scale(0, max(_SMALLEST, last))
    chart.add_y_scale(0, max(_SMALLEST, highest))
    chart.add_x_axis(name=plot.axis, tick_formatter=_tick)
    chart.add_y_axis(tick_formatter=_tick)
    for index, (_, points) in enumerate(lines):
        style = index % len(_COLOURS)
        chart.add_line(points, name="", stroke_color=_COLOURS[style], stroke_dasharray=_DASHES[style])
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    root = ET.Element("svg", {"viewBox": box, "role": "img", "aria-labelledby": f"{anchor}-title"})
    title = ET.SubElement(root, "title", {"id": f"{anchor}-title"})
    over = "time" if plot.axis == SECONDS else plot.axis
    title.text = f"{plot.title} ({plot.unit}) over {over}: " + ", ".join(line.name for line, _ in lines)
    group = chart.to_svg_group(_WIDTH, _HEIGHT)
    # The header holds the legend, whose text knows no wrapping: the page writes its own.
    group[1][0].clear()
    root.append(group)
    _tidy(root)
    return ET.tostring(root, encoding="unicode")


def _drawn(plot: Plot) -> list[tuple[Line, list[tuple[float, float | None]]]]:
    return [(line, points) for line in plot.lines if (points := _drawable(line))]


def _drawable(line: Line) -> list[tuple[float, float | None]]:
    """Keep the gaps, double each lone point (a path of one point has no ink), drop all if there is no value."""
    points = [
        (x, y if y is not None and math.isfinite(y) and 0 <= y <= _LARGEST else None)
        for x, y in line.points
        if math.isfinite(x) and 0 <= x <= _LARGEST
    ]
    drawable: list[tuple[float, float | None]] = []
    for index, (x, y) in enumerate(points):
        drawable.append((x, y))
        before = points[index - 1][1] if index else None
        after = points[index + 1][1] if index + 1 < len(points) else None
        if y is not None and before is None and after is None:
            drawable.append((x, y))
    return drawable if any(y is not None for _, y in drawable) else []


def _tick(value: float, index: int, count: int) -> str:
    del index, count
    return f"{float(value):,.6g}"


def _tidy(root: ET.Element) -> None:
    """Drop empty attributes, which browsers report as errors, and shorten coordinates to hundredths."""
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            if not value:
                del element.attrib[name]
            elif name in {"x", "y", "x1", "y1", "x2", "y2", "width", "height"}:
                element.set(name, f"{float(value):.2f}")
            elif name == "d":
                element.set(name, " ".join(part if part.isalpha() else f"{float(part):.2f}" for part in value.split()))

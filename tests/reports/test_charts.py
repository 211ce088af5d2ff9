import math
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from proxyspec_reports.charts import labels, svg
from proxyspec_reports.load import Line, Plot


def plot(*lines: Line) -> Plot:
    return Plot("Session time", "ms", lines)


def paths(drawing: str | None) -> list[str]:
    assert drawing is not None
    return [path.attrib["d"] for path in ET.fromstring(drawing).iter("path")]


def test_a_line_goes_through_its_points_left_to_right() -> None:
    (path,) = paths(svg(plot(Line("p95", ((0.0, 0.0), (5.0, 50.0), (10.0, 100.0)))), "a"))
    words = path.split()
    assert words[0::3] == ["M", "L", "L"]
    xs, ys = [float(x) for x in words[1::3]], [float(y) for y in words[2::3]]
    assert xs == sorted(xs)
    assert ys == sorted(ys, reverse=True)
    assert ys[1] - ys[2] == ys[0] - ys[1]


def test_a_missing_value_leaves_a_gap_and_a_lone_point_has_ink() -> None:
    drawn = paths(svg(plot(Line("p95", ((0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 4.0)))), "a"))
    assert [path.count("L") for path in drawn] == [1, 1]


def test_nothing_measured_is_nothing_drawn() -> None:
    assert svg(plot(Line("p95", ((0.0, None), (1.0, math.nan), (2.0, -1.0)))), "a") is None
    assert svg(plot(Line("p95", ())), "a") is None


def test_the_drawing_has_a_name_and_no_fixed_line_colour() -> None:
    both = plot(Line("p95", ((0.0, 1.0), (1.0, 2.0))), Line("p50", ((0.0, 1.0), (1.0, 1.0))))
    drawing = svg(both, "run-1-plot-2")
    assert drawing is not None
    root = ET.fromstring(drawing)
    title = root.find("title")
    assert title is not None
    assert title.text == "Session time (ms) over time: p95, p50"
    assert root.attrib["aria-labelledby"] == title.attrib["id"] == "run-1-plot-2-title"
    assert [path.attrib["stroke"] for path in root.iter("path")] == ["var(--line-1)", "var(--line-2)"]
    assert labels(both) == ("p95", "p50 (dashed)")
    assert not [text.text for text in root.iter("text") if text.text and "p50" in text.text], "the page says it"


def test_only_lines_that_are_drawn_are_named_and_one_alone_needs_no_name() -> None:
    empty, one, other = Line("a", ((0.0, None),)), Line("b", ((0.0, 1.0),)), Line("c", ((0.0, 2.0),))
    assert labels(plot(empty, one, other)) == ("b", "c (dashed)")
    assert labels(plot(empty, one)) == ()


def test_a_name_cannot_break_out() -> None:
    drawing = svg(plot(Line("</svg><script>x</script>", ((0.0, 1.0), (1.0, 2.0))), Line("b", ((0.0, 1.0),))), "a")
    assert drawing is not None
    assert "<script" not in drawing


_numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(_numbers, st.none() | _numbers), max_size=12))
def test_whatever_a_record_holds_is_drawn_or_left_out(points: list[tuple[float, float | None]]) -> None:
    drawing = svg(plot(Line("p95", tuple(points))), "a")
    if drawing is not None:
        assert all("n" not in path.lower() for path in paths(drawing)), "neither nan nor inf in a path"

from __future__ import annotations

import contextlib
import io

from rich.console import Console
from rich.progress import MofNCompleteColumn

from proxyspec.display import STYLES, UnderWay, badge, plain_table, print_lines, tally
from proxyspec.model import Verdict


def on_a_terminal() -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=True, width=60, color_system=None), stream


def in_a_file(width: int = 60) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=width), stream


class Counting(UnderWay):
    def __init__(self, console: Console) -> None:
        super().__init__(console, "starting", 2, MofNCompleteColumn())

    def count(self, name: str) -> None:
        self._update(name, advance=1)
        self._print(f"[dim]done[/] {name}", "next")


def test_every_verdict_has_its_colour_and_its_word() -> None:
    assert set(STYLES) == set(Verdict)
    for verdict in Verdict:
        console, stream = in_a_file()
        console.print(badge(verdict) + "|" + badge(verdict, 0) + "|")
        assert stream.getvalue() == f"{verdict.value.ljust(10)}|{verdict.value}|\n"


def test_a_tally_counts_in_the_order_of_the_verdicts() -> None:
    assert tally([Verdict.FAIL, *[Verdict.PASS] * 6]) == "6 PASS, 1 FAIL"
    assert tally([]) == "nothing judged"


def test_lines_are_neither_folded_nor_coloured_by_chance() -> None:
    console, stream = in_a_file(width=10)
    print_lines(console, "[bold]127.0.0.1[/] takes what it gets", "2")
    assert stream.getvalue() == "127.0.0.1 takes what it gets\n2\n"


def test_a_plain_table_has_no_lines() -> None:
    console, stream = in_a_file()
    table = plain_table()
    table.add_column("case")
    table.add_column("n", justify="right")
    table.add_row("v1", "10")
    console.print(table)
    assert stream.getvalue() == "case   n\nv1    10\n"


def test_a_terminal_shows_the_bar_and_a_file_only_the_lines() -> None:
    console, stream = on_a_terminal()
    with Counting(console) as shown:
        shown.count("v1/port")
    assert "starting" in stream.getvalue()
    assert "1/2" in stream.getvalue()
    assert "done v1/port" in stream.getvalue()
    console, stream = in_a_file()
    with Counting(console) as shown:
        shown.count("v1/port")
    assert stream.getvalue() == "done v1/port\nnext\n"


def test_the_bar_is_gone_when_the_run_fails() -> None:
    console, stream = on_a_terminal()
    with contextlib.suppress(ZeroDivisionError), Counting(console) as shown:
        shown.count("v1/port")
        console.print(1 // 0)
    console.print("after")
    assert stream.getvalue().endswith("\x1b[2Kafter\n"), repr(stream.getvalue()[-80:])

from __future__ import annotations

import contextlib
import io

import pytest
from rich.console import Console
from rich.progress import MofNCompleteColumn

from proxyspec.display import STYLES, UnderWay, badge, plain_table, print_lines, print_table, tally
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


@pytest.mark.parametrize("width", [8, 16, 60])
def test_no_terminal_is_too_narrow_for_a_figure(width: int) -> None:
    console, stream = in_a_file(width)
    table = plain_table()
    for name in ("case", "sessions"):
        table.add_column(name, no_wrap=True)
    table.add_row("v1", "1 [0 – 123456]")
    print_table(console, table)
    assert stream.getvalue().splitlines()[1].split() == ["v1", "1", "[0", "–", "123456]"]


def test_words_are_folded_and_figures_are_not() -> None:
    console, stream = in_a_file(20)
    table = plain_table()
    table.add_column("n", no_wrap=True)
    table.add_column("said", overflow="fold")
    table.add_row("1234567890", "closing the connection")
    print_table(console, table)
    assert "1234567890" in stream.getvalue()
    assert "…" not in stream.getvalue()
    assert "".join(line[10:] for line in stream.getvalue().splitlines()[1:]).replace(" ", "") == "closingtheconnection"


def test_what_is_not_folded_stays_whole_beside_what_is() -> None:
    console, stream = in_a_file(20)
    table = plain_table()
    for name in ("case", "section"):
        table.add_column(name, no_wrap=True)
    table.add_column("said", overflow="fold")
    table.add_row("v1/port/leading-zero", "RFC 5321, 4.1.1.10", "closing the connection")
    print_table(console, table)
    assert "v1/port/leading-zero  RFC 5321, 4.1.1.10  closing" in stream.getvalue()
    assert "…" not in stream.getvalue()


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

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_reports.byhand import by_hand, printf_argument

from .samples import BINARY, LINE

TARGET = "smtp://127.0.0.1:2525"


def test_one_segment_is_one_printf() -> None:
    assert by_hand(TARGET, [(0.0, LINE)]) == (
        r"printf 'PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n' | nc 127.0.0.1 2525"
    )


def test_gaps_between_segments_become_sleeps_and_the_source_is_bound() -> None:
    line = by_hand("smtp://[::1]:25", [(0.5, b"a"), (0.75, b"b")], "::2")
    assert line == "{ printf 'a'; sleep 0.25; printf 'b'; } | nc -s ::2 ::1 25"


def test_a_case_that_sends_nothing_just_connects() -> None:
    assert by_hand(TARGET, []) == "nc 127.0.0.1 2525"


@pytest.mark.parametrize("target", ["smtp://mail.example", "smtp://[::1", "smtp://host:99999", "nonsense", ""])
def test_no_line_for_a_target_without_host_and_port(target: str) -> None:
    assert by_hand(target, [(0.0, b"x")]) is None


def test_no_line_that_nobody_would_paste() -> None:
    assert by_hand(TARGET, [(0.0, b"x" * 5000)]) is None
    assert by_hand(TARGET, [(at / 10, b"x") for at in range(50)]) is None


def test_a_host_cannot_break_out_of_the_line() -> None:
    assert by_hand("smtp://a;reboot:25", [(0.0, b"x")]) == "printf 'x' | nc 'a;reboot' 25"


@pytest.mark.parametrize("data", [bytes(range(256)), BINARY, b"-n %s %% \\0 '; echo x", b"'" * 5, b"\x017", b"-"])
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_shell_writes_exactly_the_bytes(shell: str, data: bytes) -> None:
    program = shutil.which(shell)
    assert program is not None, f"{shell} is needed"
    done = subprocess.run(
        [program, "-c", f"printf {printf_argument(data)}"], capture_output=True, check=True, timeout=10
    )
    assert done.stdout == data
    assert done.stderr == b""


@given(st.binary())
def test_the_argument_is_printable_ascii_in_one_pair_of_quotes(data: bytes) -> None:
    argument = printf_argument(data)
    assert argument.isascii()
    assert argument.isprintable()
    assert argument.count("'") == 2
    assert argument[0] == argument[-1] == "'"

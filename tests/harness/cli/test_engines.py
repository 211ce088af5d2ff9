from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from proxyspec.cli.engines import engines_here
from proxyspec.errors import UsageError
from proxyspec_haproxy import BinaryEngine


@pytest.mark.haproxy
def test_what_is_not_here_is_told_and_the_rest_taken(binary_engine: BinaryEngine, tmp_path: Path) -> None:
    shown = io.StringIO()
    there, absent = f"binary:{binary_engine.path}", f"binary:{tmp_path / 'no[bold]ne'}"
    choices, missing = engines_here(Console(file=shown, width=20), [absent, there], words="not here", style="")
    assert [choice.engine.describe() for choice in choices] == [binary_engine.describe()]
    (reason,) = missing
    assert "no[bold]ne" in reason
    assert shown.getvalue() == f"not here: {reason}\n"


def test_without_any_the_command_line_is_wrong(tmp_path: Path) -> None:
    shown = io.StringIO()
    with pytest.raises(UsageError, match=r"^--haproxy: binary:.*none: no such file"):
        engines_here(Console(file=shown), [f"binary:{tmp_path / 'none'}"])
    assert shown.getvalue() == "", "the error says it, once"

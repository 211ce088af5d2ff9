"""The program as a function: it can be called again, and its name stays a function."""

from __future__ import annotations

import pytest

import proxyspec.cli


def test_main_can_be_called_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert proxyspec.cli.main(["--version"]) == 0
    # A module of the same name would have taken its place by now.
    assert proxyspec.cli.main(["--version"]) == 0
    assert capsys.readouterr().out.count("proxyspec ") == 2

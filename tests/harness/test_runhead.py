from __future__ import annotations

import platform
import sys
import time
from datetime import UTC, datetime

import pytest

import proxyspec
from proxyspec.records import HAProxyRecord, ScenarioRun
from proxyspec.runhead import Begun

HAPROXY = HAProxyRecord(engine="binary", version="2.6.12", description="d", why="w", config="c", log="l")


@pytest.mark.parametrize(("interrupted", "status"), [(False, "complete"), (True, "interrupted")])
def test_the_head_says_when_how_and_where(interrupted: bool, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["proxyspec", "run", "smtp://127.0.0.1"])
    before, now = time.monotonic(), datetime.now(UTC)
    begun = Begun("run-1", clock=before - 2.0)
    head = begun.head(interrupted=interrupted, haproxy=HAPROXY)
    assert (head["id"], head["status"]) == ("run-1", status)
    assert head["command"] == ["run", "smtp://127.0.0.1"]
    assert now <= head["started"] <= datetime.now(UTC)
    assert 2.0 <= head["duration"] <= time.monotonic() - before + 2.001
    assert head["environment"].proxyspec == proxyspec.__version__
    assert head["environment"].python == platform.python_version()
    assert head["environment"].haproxy == HAPROXY


def test_a_command_of_ones_own_is_kept() -> None:
    head = Begun("run-1").head(interrupted=False, command=("run", "again"))
    assert head["command"] == ["run", "again"]
    assert head["environment"].haproxy is None


def test_a_record_takes_all_of_it() -> None:
    head = Begun("run-1").head(interrupted=False)
    rest = set(ScenarioRun.model_fields) - {"schema_version", "exit_code", "subject"}
    assert set(head) <= rest

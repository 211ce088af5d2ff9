"""The rounds of the load benchmark, very short ones, against a real server; no figure is judged."""

import re
from pathlib import Path

import pytest
from benchmarks import load
from benchmarks.load import (
    DIRECT,
    ENGINE,
    GEVENT,
    PIPELINED,
    SMTPLIB,
    SOURCE,
    THROUGH,
    beside,
    findings,
    locust,
    source,
)
from benchmarks.peers import Running
from benchmarks.postfix import Postfix
from benchmarks.rounds import Sample

from tests.server.test_command import server


@pytest.mark.parametrize("client", [ENGINE, PIPELINED, f"{ENGINE}, v2", GEVENT, SMTPLIB])
def test_every_client_delivers_as_many_messages_as_asked(client: str) -> None:
    options = ["--trust", "127.0.0.1"] if client.endswith("v2") else []
    exact: list[bool] = []
    with server(*options, "--log", "-") as process:
        sample = locust(client, process.ports[0], 25, exact)()
        for _ in range(25):
            assert process.event("message")
        assert process.stop() == 0
    assert exact == [True]
    assert sample.cpu > 0
    assert sample.wall > 0


def test_sessions_that_fail_are_no_round() -> None:
    # It trusts nobody: a header is no command.
    with server() as process, pytest.raises(RuntimeError, match=r"^engine, v2: 25 of 25 sessions failed: .* at "):
        locust(f"{ENGINE}, v2", process.ports[0], 25, [])()


def _postfix(root: Path, script: str) -> Postfix:
    postfix = Postfix(root)
    program = Path(postfix.program("smtp-source"))
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return postfix


def test_smtp_source_gets_the_same_work(tmp_path: Path) -> None:
    said = tmp_path / "said"
    sample = source(_postfix(tmp_path, f'echo "$@" > {said}'), Running("peer", 0, 2525), 50)()
    assert said.read_text().split() == ["-s", "20", "-m", "50", "-l", "1024", "127.0.0.1:2525"]
    assert sample.wall > 0


def test_smtp_source_that_fails_is_no_round(tmp_path: Path) -> None:
    measure = source(_postfix(tmp_path, "echo no route >&2; exit 3"), Running("peer", 0, 2525), 50)
    with pytest.raises(RuntimeError, match=r"^smtp-source ended with 3: no route$"):
        measure()


def test_what_others_take_meanwhile_is_counted_for_each_session() -> None:
    clock = iter([1.0, 3.0, 3.0, 7.0])
    taken: load.Taken = {}
    measure = beside(lambda: Sample(0.1, 0.2), 4, {"server": lambda: next(clock)}, taken)
    assert [measure(), measure()] == [Sample(0.1, 0.2)] * 2
    assert taken == {"server": [Sample(0.5, 0.2), Sample(1.0, 0.2)]}


def _figures(engine: float) -> dict[str, dict[str, list[Sample]]]:
    def took(**times: float) -> dict[str, list[Sample]]:
        return {name: [Sample(time, time)] * 2 for name, time in times.items()}

    others = took(**{SOURCE: 1.0, ENGINE: engine, PIPELINED: 0.5, GEVENT: 2.0, SMTPLIB: 3.0})
    pairs = {
        f"{kind}, {how}": 200.0 if how == "Scapy" else 1.0
        for kind in ("v1", "v2", "v2-tlv")
        for how in ("Scapy", "patched")
    }
    return {
        "on smtp-sink": others,
        "on the reference server": others,
        "with a v2 header": took(**{DIRECT: 1.0, THROUGH: 1.25}),
        "headers": took(**pairs),
    }


@pytest.mark.parametrize(("engine", "met"), [(0.8, True), (1.25, False)])
def test_the_goals_follow_from_the_rounds(engine: float, met: bool) -> None:
    found = {finding.goal.what: finding for finding in findings(_figures(engine), [True, True])}
    rate = found["sessions per second on smtp-sink, × smtp-source"]
    spent = found["CPU a session on smtp-sink, × smtp-source"]
    assert (rate.figure.middle, rate.goal.met(rate.figure)) == (1 / engine, met)
    assert (spent.figure.middle, spent.goal.met(spent.figure)) == (engine, met)
    assert found["sessions per second through HAProxy, × direct"].figure.middle == 0.8
    assert found["v1 headers per second, × Scapy's build"].figure.middle == 200.0
    assert {finding.goal.id for finding in found.values()} == {"L1", "L2", "X1", "P2"}


def test_totals_that_differ_once_are_told() -> None:
    equal = next(each for each in findings(_figures(1.0), [True, False]) if "totals" in each.goal.what)
    assert equal.figure.low == 0.0
    assert not equal.goal.met(equal.figure)


def test_what_is_missing_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert load.main(["--postfix", str(tmp_path)]) == 2
    assert re.fullmatch(r"benchmarks\.load: apt-get is missing; .*\n", capsys.readouterr().err)

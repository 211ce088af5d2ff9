"""Case files: what is written is read again, and what is wrong with one is said."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest

from proxyspec.casefile import CaseFile, case_file_schema, catalogue_from, entry_of
from proxyspec.errors import UsageError
from proxyspec.fuzz.rules import classify
from proxyspec.fuzz.trials import case_of, control_of
from proxyspec.layers.authoring import local, v1, v2
from proxyspec.model import Accept, Capability, Case, HalfClose, Level, OutcomeKind, Send
from proxyspec.reference import reference_server
from tests.harness.program import proxyspec

BOTH = frozenset({1, 2})
BY_HAND = """
[[cases]]
id = "mine/leading-zero"
title = "A port with a leading zero is refused"
section = "2.1"
send = "50524f58592054435034 20 3139322e302e322e31 20 3139322e302e322e32 20 3031313131 20 3235 0d0a"
accepts = [{ kind = "rejected-silent" }, { kind = "rejected-reply" }]

[[cases]]
id = "mine/sealed"
title = "A header with a checksum is served"
section = "2.2.3"
level = "EITHER"
send = "0d0a0d0a000d0a515549540a 21 11 0013 c0000201 c0000202 0457 0019 030004047edc6e"
accepts = [{ kind = "accepted-proxied", address = "192.0.2.1" }]
versions = [2]
needs = ["crc32c"]

[[cases]]
id = "mine/local"
title = "LOCAL with nothing behind it is served, or ends"
send = "0d0a0d0a000d0a515549540a 20 00 0000"
accepts = [{ kind = "accepted-unseen" }, { kind = "rejected-silent" }]
control = "0d0a0d0a000d0a515549540a 21 11 000c c0000201 c0000202 0457 0019"
half_close = true
"""


def written(path: Path, data: bytes, case_id: str = "fuzz/001", *, fin: bool = False) -> Case:
    control = control_of(data, BOTH)
    case = case_of(case_id, data, classify(data, BOTH), control=control.id, fin=fin)
    entry = entry_of(case, control, made="by hand", seen="hung")
    path.write_text(CaseFile(cases=[entry]).model_dump_json())
    return case


@pytest.mark.parametrize("data", [v1(dport="025"), v2(length=11), local(), v2(family=0x12), v1() + b"NOOP\r\n"])
@pytest.mark.parametrize("fin", [False, True])
def test_a_case_comes_back_as_it_was(tmp_path: Path, data: bytes, fin: bool) -> None:
    case = written(tmp_path / "case.json", data, fin=fin)
    catalogue = catalogue_from([tmp_path / "case.json"])
    again = catalogue["fuzz/001"]
    assert again.steps == case.steps == ((Send(data), HalfClose()) if fin else (Send(data),))
    assert (again.accept, again.level, again.title) == (case.accept, case.level, case.title)
    assert again.expected_errors == case.expected_errors
    assert again.control is not None
    assert catalogue[again.control].header == (v1() if data.startswith(b"P") else v2())


def test_files_share_their_controls_and_may_not_disagree(tmp_path: Path) -> None:
    written(tmp_path / "a.json", v1(dport="025"), "fuzz/a")
    written(tmp_path / "b.json", v1(dport="x"), "fuzz/b")
    written(tmp_path / "c.json", v1(dport="y"), "fuzz/b")
    both = catalogue_from([tmp_path / "a.json", tmp_path / "b.json", tmp_path / "a.json"])
    assert [case.id for case in both.cases] == ["control/1", "fuzz/a", "fuzz/b"]
    with pytest.raises(UsageError, match="another case fuzz/b"):
        catalogue_from([tmp_path / "b.json", tmp_path / "c.json"])


def test_a_case_may_name_the_one_whose_refusal_it_presumes(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    how = BY_HAND.split("\n\n")[0].replace("mine/leading-zero", "mine/how") + '\npremise = "mine/leading-zero"\n'
    path.write_text(BY_HAND + how)
    catalogue = catalogue_from([path])
    assert catalogue["mine/how"].premise == "mine/leading-zero"
    assert catalogue["mine/leading-zero"].premise is None
    path.write_text(how)
    with pytest.raises(
        UsageError, match=r"mine\.toml: case mine/how names the premise mine/leading-zero, which does not"
    ):
        catalogue_from([path])


def test_a_file_written_by_hand_says_little(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(BY_HAND)
    catalogue = catalogue_from([path])
    zero, sealed, here = (catalogue[f"mine/{name}"] for name in ("leading-zero", "sealed", "local"))
    assert [case.id for case in catalogue.cases if case.id.startswith("control/")] == ["control/1", "control/2"]
    assert zero.steps == (Send(v1(sport="01111")),)
    assert (zero.section, zero.level, zero.control) == ("2.1", Level.MUST, "control/1")
    assert catalogue["control/1"].header == v1()
    assert sealed.accept == (Accept(OutcomeKind.ACCEPTED_PROXIED, "192.0.2.1"),)
    assert (sealed.level, sealed.versions) == (Level.EITHER, frozenset({2}))
    assert sealed.needs == frozenset({Capability.CRC32C})
    assert sealed.control is None, "what must be served needs no control"
    assert here.steps == (Send(local()), HalfClose())
    assert here.accept[0] == Accept(OutcomeKind.ACCEPTED_UNSEEN)
    assert here.control is not None
    assert catalogue[here.control].header == v2()


def test_the_schema_is_published_and_holds(tmp_path: Path) -> None:
    schema = json.loads(case_file_schema())
    published = Path("docs/cases.schema.json").read_text()
    assert published == case_file_schema(), "docs/cases.schema.json is not `proxyspec schema cases`"
    jsonschema.validate(tomllib.loads(BY_HAND), schema)
    written(tmp_path / "case.json", v1(dport="025"))
    jsonschema.validate(json.loads((tmp_path / "case.json").read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"cases": [{"id": "a"}]}, schema)


def run_with(path: Path, target: str, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return proxyspec("run", target, "--case-file", str(path), "--out", str(out), *options)


def test_a_server_is_judged_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(BY_HAND)
    wrong = BY_HAND.replace('kind = "rejected-silent" }, { kind = "rejected-reply"', 'kind = "accepted-unseen"')
    (tmp_path / "wrong.toml").write_text(wrong)
    arguments = ["--trust", "127.0.0.1", "--header-timeout", "2"]
    with reference_server(arguments, tmp_path / "log") as (host, port):
        target = f"smtp://{host}:{port}"
        ended = run_with(path, target, tmp_path / "all", "--header-timeout", "2")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        one = run_with(path, target, tmp_path / "one", "--header-timeout", "2", "--case", "mine/leading-zero")
        assert one.returncode == 0, one.stdout + one.stderr
        failed = run_with(tmp_path / "wrong.toml", target, tmp_path / "wrong", "--header-timeout", "2")
        assert failed.returncode == 1, failed.stdout + failed.stderr
    records = {record["id"]: record for record in json.loads((tmp_path / "all" / "run.json").read_text())["cases"]}
    assert {name: record["verdict"] for name, record in records.items()} == {
        "control/1": "PASS",
        "control/2": "PASS",
        "mine/leading-zero": "PASS",
        "mine/sealed": "INFO",
        "mine/local": "PASS",
    }
    assert f"--case-file {path}" in records["mine/leading-zero"]["reproduce"]
    chosen = json.loads((tmp_path / "one" / "run.json").read_text())["cases"]
    assert [record["id"] for record in chosen] == ["control/1", "mine/leading-zero"]


def test_a_wrong_file_stops_the_run_before_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(BY_HAND.replace('"2.1"', '"2.1"\nsurplus = 1', 1))
    ended = run_with(path, "smtp://127.0.0.1:9", tmp_path / "run")
    assert ended.returncode == 2
    assert f"{path} is not a case file: cases.0.surplus" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"send": "xyz"}, "cases.0.send"),
        ({"send": ""}, "cases.0.send"),
        ({"level": "LOUD"}, "cases.0.level"),
        ({"accepts": []}, "cases.0.accepts"),
        ({"accepts": [{"kind": "accepted-proxied", "address": "not-an-address"}]}, "address"),
        ({"id": "../../etc"}, "cases.0.id"),
        ({"surplus": 1}, "surplus"),
        ({"id": "control/1"}, "choose another"),
        ({"versions": [3]}, "cases.0.versions"),
        ({"needs": ["nothing"]}, "cases.0.needs"),
        ({"control": "5"}, "cases.0.control"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, object], words: str) -> None:
    path = tmp_path / "case.json"
    written(path, v1(dport="025"))
    content = json.loads(path.read_text())
    content["cases"][0].update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as caught:
        catalogue_from([path])
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json cannot be read"):
        catalogue_from([tmp_path / "nowhere.json"])
    for name, text in (("text.json", "PROXY TCP4"), ("deep.json", "[" * 100_000), ("text.toml", "= 1"), ("a.toml", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match=f"{name} is not a case file"):
            catalogue_from([tmp_path / name])
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"binary\.toml is not a case file: it is no TOML"):
        catalogue_from([tmp_path / "binary.toml"])

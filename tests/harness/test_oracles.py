"""The registry of oracles: one module each, found by itself, and said to users."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from proxyspec import oracles
from proxyspec.model import Target, View
from proxyspec.oracle import ORACLES
from proxyspec.replies import parse_replies

A_NEW_ONE = """
from proxyspec.model import View
from proxyspec.oracles import OracleKind

ORACLE = OracleKind(reads="the greeting", replies=lambda replies: View.of(replies[0].lines[0].split()[-1].decode()))
"""


def test_every_oracle_says_what_it_reads_and_needs_what_a_profile_has() -> None:
    assert set(oracles.REGISTRY) >= {"ehlo", "log", "none", "received", "reply"}
    assert set(ORACLES) == set(oracles.REGISTRY)
    fields = set(Target.__dataclass_fields__)
    for kind in oracles.REGISTRY.values():
        assert kind.reads
        assert set(kind.needs) <= fields
        assert not kind.needs or kind.witness is not None


def test_a_module_of_its_own_is_all_a_new_oracle_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greeting.py").write_text(A_NEW_ONE)
    (tmp_path / "_shared.py").write_text("raise AssertionError('what is shared is no oracle')")
    monkeypatch.setattr(oracles, "__path__", [*oracles.__path__, str(tmp_path)])
    found = oracles.discovered()
    assert set(found) == {*oracles.REGISTRY, "greeting"}
    replies = parse_replies([(0.0, b"220 mx.test 192.0.2.7\r\n")])
    assert found["greeting"].replies(replies) == View("192.0.2.7")


def test_a_module_without_an_oracle_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hollow.py").write_text("")
    monkeypatch.setattr(oracles, "__path__", [*oracles.__path__, str(tmp_path)])
    with pytest.raises(TypeError, match=r"proxyspec\.oracles\.hollow defines no ORACLE"):
        oracles.discovered()


def test_the_list_names_every_oracle_and_the_documentation_no_other() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "proxyspec", "list", "--oracles"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for name, kind in oracles.REGISTRY.items():
        assert f"{name} " in listed
        assert kind.reads in " ".join(listed.split())
    chapter = Path("docs/targets.md").read_text().partition("## Oracles")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z]+)` \| ([^|]+) \|[^|]*\|$", chapter, re.MULTILINE)
    documented = {name: reads for name, reads in rows if name != "auto"}
    assert len(documented) == 5
    assert documented == {name: oracles.REGISTRY[name].reads for name in documented}

"""The options that choose a profile and a defect, and the lists of both."""

import json

import pytest

from proxyspec_server.assembly import assemble
from proxyspec_server.command import main, parse
from proxyspec_server.connection import Connection
from proxyspec_server.defects import DEFECTS, VARIATIONS
from proxyspec_server.profile import STRICT
from proxyspec_server.profiles import PROFILES
from proxyspec_server.proxy import HeaderParser
from proxyspec_server.selection import selected
from proxyspec_server.shell import Server


def test_the_default_is_the_strict_server_without_a_defect() -> None:
    options = parse([], "serve")
    assert (options.profile, options.defect) == ("strict", None)
    assert selected(options.profile, options.defect) == assemble(STRICT)


def test_a_profile_brings_its_limits_and_options_change_them() -> None:
    options = parse(["--profile", "lenient", "--header-timeout", "2"], "serve")
    assert options.limits.header_size == 65551
    assert options.limits.header_timeout == 2


@pytest.mark.parametrize(
    ("defect", "changed"),
    [("v1-tab", "reader"), ("greets-first", "connection"), ("quit-left-open", "server"), ("deadline-early", "server")],
)
def test_a_defect_replaces_one_part(defect: str, changed: str) -> None:
    parts = selected("strict", defect)
    assert (parts.profile.header_parser is not HeaderParser) == (changed == "reader")
    assert (parts.connection_type is not Connection) == (changed == "connection")
    assert (parts.server_type is not Server) == (changed == "server")


def test_what_is_no_part_of_a_server_is_refused() -> None:
    with pytest.raises(TypeError, match="int is derived from nothing"):
        assemble(STRICT, int)


def test_a_defect_goes_with_every_profile() -> None:
    for name in PROFILES:
        assert selected(name, "v1-tab").profile.choices == PROFILES[name].choices


def test_a_defect_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--defect", "v1-tap"]) == 2
    assert 'there is no defect "v1-tap"; did you mean v1-tab' in capsys.readouterr().err
    assert main(["--defect", "\x1b[2J"]) == 2
    assert r'there is no defect "\x1b[2J"; --list-defects shows them all' in capsys.readouterr().err


def test_a_profile_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--profile", "exchange"]) == 2
    # Python 3.12 and later name them without quotes.
    assert "strict, lenient, haraka" in capsys.readouterr().err.replace("'", "")


def test_the_list_of_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-profiles"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(PROFILES)
    assert all(line.endswith(profile.summary) for line, profile in zip(lines, PROFILES.values(), strict=True))


def test_the_list_of_defects(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-defects"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(DEFECTS)
    assert "    A tab separates fields as well as a space." in lines


def test_the_list_of_defects_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-defects", "json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == list(DEFECTS)
    (entry,) = (entry for entry in entries if entry["name"] == "v1-tab")
    assert entry == {
        "name": "v1-tab",
        "family": "v1_grammar",
        "sentence": "A tab separates fields as well as a space.",
        "origin": "requirement v1.sep.tab",
        "killed_by": ["v1/separator/tab"],
        "unseen": "",
        "healthy": "421 4.3.2, FIN",
        "defective": "220, 250 [192.0.2.1], 221, FIN",
    }


def test_a_variation_replaces_one_part_and_goes_with_no_defect(capsys: pytest.CaptureFixture[str]) -> None:
    assert selected("lenient", variation="refusal-silent").connection_type is not Connection
    assert main(["--variation", "refusal-silnt"]) == 2
    assert 'there is no variation "refusal-silnt"; did you mean refusal-silent' in capsys.readouterr().err
    assert main(["--variation", "refusal-silent", "--defect", "v1-tab"]) == 2
    assert "not allowed with argument" in capsys.readouterr().err


def test_the_list_of_variations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-variations"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(VARIATIONS)
    assert "    A malformed header ends the connection without a word." in lines

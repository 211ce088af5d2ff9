"""What others' tests expect of a receiver is what we expect of one, or a section of the text says why not."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from proxyspec.casefile import AcceptEntry, CaseEntry, CaseFile
from proxyspec.fuzz.rules import Expectation, classify
from proxyspec.fuzz.trials import case_of
from proxyspec.layers import ProxyV1, ProxyV2, dissect
from proxyspec.reference import reference_server
from proxyspec_server.proxy import Header, HeaderParser
from tests.third_parties.published import PUBLISHED, REAL, REFUSED, Published

BOTH = frozenset({1, 2})
DEADLINE = 1.5
EVERY = [pytest.param(one, id=one.id) for one in PUBLISHED]
ADDRESSED = [pytest.param(one, id=one.id) for one in PUBLISHED if one.theirs not in (REAL, REFUSED)]


def _allows(expectation: Expectation, theirs: str) -> bool:
    match theirs:
        case "refused":
            return expectation.refused
        case "real":
            return expectation.real
        case address:
            return address in expectation.addresses


def test_the_table_is_as_large_as_it_was_written() -> None:
    assert len({one.id for one in PUBLISHED}) == len(PUBLISHED) == 644
    assert {one.origin for one in PUBLISHED} == {"aiosmtpd", "go-proxyproto"}
    assert {one.theirs in (REAL, REFUSED) for one in PUBLISHED} == {True, False}


@pytest.mark.parametrize("one", EVERY)
def test_our_rules_agree_or_a_section_says_why_not(one: Published) -> None:
    agrees = _allows(classify(one.data, BOTH), one.theirs)
    if one.differs is None:
        assert agrees, classify(one.data, BOTH)
    else:
        assert not agrees, "there is no difference to be explained"
        assert re.match(r"section 2\.2(\.\d)?: ", one.differs)


def test_without_checksums_none_of_them_makes_a_difference() -> None:
    sealed = [one for one in PUBLISHED if one.differs is not None and "2.2.3" in one.differs]
    assert sealed
    for one in sealed:
        assert _allows(classify(one.data, BOTH, checksums=False), one.theirs)


@pytest.mark.parametrize("one", EVERY)
def test_the_reference_servers_parser_does_what_the_rules_allow(one: Published) -> None:
    expectation = classify(one.data, BOTH)
    read = HeaderParser().feed(one.data)
    if not isinstance(read, Header):
        assert expectation.refused, read
    elif read.source is None:
        assert expectation.real, read
    else:
        assert str(ipaddress.ip_address(read.source.host)) in expectation.addresses


@pytest.mark.parametrize("one", ADDRESSED)
def test_the_layers_read_the_address_that_others_read(one: Published) -> None:
    packet = dissect(one.data)
    assert isinstance(packet, ProxyV1 | ProxyV2)
    source = packet.src.decode() if isinstance(packet.src, bytes) else packet.src
    address = ipaddress.ip_address(source)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    assert one.theirs in (str(address), str(mapped))


def _entry(one: Published) -> CaseEntry:
    case = case_of(f"{one.origin}/{one.name}", one.data, classify(one.data, BOTH))
    return CaseEntry(
        id=case.id,
        title=case.title,
        section=case.section,
        level=case.level,
        send=one.data.hex(),
        accepts=[AcceptEntry(kind=accept.kind, address=accept.address) for accept in case.accept],
        expected_errors=case.expected_errors,
        made=f"test vector of {one.origin}",
    )


def test_the_reference_server_is_judged_by_them(tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    path.write_text(CaseFile(cases=[_entry(one) for one in PUBLISHED]).model_dump_json())
    out = tmp_path / "run"
    arguments = ["--trust", "127.0.0.1", "--header-timeout", f"{DEADLINE:g}", "--hostname", "mx.test"]
    with reference_server(arguments, tmp_path / "log") as (host, port):
        command = [sys.executable, "-m", "proxyspec", "run", f"smtp://{host}:{port}", "--case-file", str(path)]
        command += ["--header-timeout", f"{DEADLINE:g}", "--out", str(out)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    verdicts = {record["id"]: record["verdict"] for record in json.loads((out / "run.json").read_text())["cases"]}
    assert {one.id for one in PUBLISHED} < set(verdicts)
    assert set(verdicts.values()) == {"PASS", "INFO"}

"""The sender table on real HAProxies: every row as it is documented, and rows that are wrong found out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from proxyspec.model import Verdict
from proxyspec.records.sender import SenderRecord
from proxyspec.rundir import RunDirectory
from proxyspec.sender.client import Caller, Tls
from proxyspec.sender.expectation import At, Expectation, Place, Role, TlvWanted
from proxyspec.sender.matrix import sender_table
from proxyspec.sender.run import Findings
from proxyspec.sender.setting import Checking, Setting
from proxyspec_haproxy import MATRIX, BinaryEngine, Choice, HAProxy, choose_all
from proxyspec_scenarios.senders import SENDER_SETTINGS

pytestmark = pytest.mark.haproxy

NO_FILES: Mapping[str, bytes] = {}
SIGNATURE = "0d0a0d0a000d0a515549540a"


def table(settings: Sequence[Setting], choices: Sequence[Choice], out: Path, patience: float = 8.0) -> Findings:
    findings = Findings()
    with RunDirectory.create("sender", out) as directory:
        work = sender_table(settings, choices, directory, findings, lambda name, rows: None, header_patience=patience)
        asyncio.run(work)
    return findings


def is_documented(rows: Sequence[SenderRecord]) -> None:
    """Fail unless every row has the verdict that its setting foresees for this release."""
    wanted = {setting.id: setting for setting in SENDER_SETTINGS}
    assert [row.setting for row in rows] == list(wanted)
    for row in rows:
        setting = wanted[row.setting]
        major, minor = (int(part) for part in row.sender.removeprefix("HAProxy ").split(".")[:2])
        if setting.since is not None and (major, minor) < setting.since:
            assert row.verdict is Verdict.SKIP, row.reason
            continue
        conceded = setting.expected_of((major, minor)).concessions
        # A release may have been mended: that is never held against it.
        assert row.verdict in ({Verdict.WARN, Verdict.PASS} if conceded else {Verdict.PASS}), (row.id, row.reason)
        assert row.first >= row.size
        assert row.segments in (1, None)
    bytes_of = {row.setting: row.hex for row in rows}
    assert bytes_of["v1/unix"] == b"PROXY UNKNOWN\r\n".hex()
    assert bytes_of["v1/chain/v2-ipv6"] == b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n".hex()
    assert bytes_of["v2/unix"] == f"{SIGNATURE}20000000"
    assert bytes_of["v2/chain/v1"] == f"{SIGNATURE}2111000cc0000201c000020204570019"
    assert bytes_of["check/v2/l4"] == f"{SIGNATURE}20000000"
    assert bytes_of["check/v2/crc32c"] == f"{SIGNATURE}20000007030004a9b87e8f"
    assert bytes_of["check/v2/ssl"] == f"{SIGNATURE}200000082000050000000000"
    assert bytes_of["v2/alpn"].endswith("010004736d7470")
    assert bytes_of["v2/ipv4"].startswith(f"{SIGNATURE}2111000c7f000007")
    assert bytes_of["check/v2/never-send-local"].startswith(f"{SIGNATURE}2111000c7f0000017f000001")


def test_every_setting_on_the_haproxy_of_this_machine(binary_engine: BinaryEngine, tmp_path: Path) -> None:
    findings = table(SENDER_SETTINGS, [Choice(binary_engine, "binary", "the test says so.")], tmp_path / "out")
    is_documented(findings.rows)
    for record in findings.haproxies:
        assert "send-proxy-v2" in (tmp_path / "out" / record.config).read_text()
        assert (tmp_path / "out" / record.log).exists()


@pytest.mark.docker
def test_every_setting_on_every_haproxy(tmp_path: Path) -> None:
    missing: list[str] = []
    choices = choose_all([MATRIX], missing=missing.append)
    findings = table(SENDER_SETTINGS, choices, tmp_path / "out")
    assert len(findings.rows) == len(choices) * len(SENDER_SETTINGS)
    for place in range(len(choices)):
        is_documented(findings.rows[place * len(SENDER_SETTINGS) : (place + 1) * len(SENDER_SETTINGS)])


CLIENT = Caller("127.0.0.7")
V2 = Expectation(version=2)
WRONG = (
    Setting(id="version", title="x", server="send-proxy", expects=V2, caller=CLIENT),
    Setting(id="none", title="x", server="send-proxy", expects=Expectation(version=0), caller=CLIENT),
    Setting(id="tlv", title="x", server="send-proxy-v2", expects=replace(V2, tlvs=(TlvWanted(3),)), caller=CLIENT),
    Setting(id="unasked", title="x", server="send-proxy-v2 proxy-v2-options crc32c", expects=V2, caller=CLIENT),
    Setting(
        id="address",
        title="x",
        server="send-proxy-v2",
        expects=replace(V2, src=At("127.0.0.8", Place.CLIENT)),
        caller=CLIENT,
    ),
    Setting(id="port", title="x", server="send-proxy-v2", expects=replace(V2, dst=At("127.0.0.1", 1)), caller=CLIENT),
    Setting(id="absent", title="x", server="", expects=V2, caller=CLIENT),
    Setting(
        id="check",
        title="x",
        server="send-proxy-v2 check inter 200ms",
        expects=Expectation(version=2, role=Role.CHECK, src=Place.PEER, dst=At("127.0.0.1", 1)),
        check=Checking.SMTP,
        never_send_local=True,
    ),
)


def test_what_is_wrong_is_found_out(binary_engine: BinaryEngine, tmp_path: Path) -> None:
    # `server …` needs a word to be there at all.
    settings = [replace(one, server=one.server or "weight 1") for one in WRONG]
    choices = [Choice(binary_engine, "binary", "the test says so.")]
    findings = table(settings, choices, tmp_path / "out", patience=2.0)
    assert {row.setting: [one.rule for one in row.findings] for row in findings.rows} == {
        "version": ["send.version"],
        "none": ["send.unasked"],
        "tlv": ["send.tlv.declared"],
        "unasked": ["send.tlv.unasked"],
        "address": ["send.addresses"],
        "port": ["send.addresses"],
        "absent": ["send.header"],
        "check": ["send.check.local", "send.addresses"],
    }
    assert {row.verdict for row in findings.rows} == {Verdict.FAIL}


def test_two_of_one_release_are_told_apart(binary_engine: BinaryEngine, tmp_path: Path) -> None:
    setting = next(one for one in SENDER_SETTINGS if one.id == "v1/unix")
    choices = [Choice(BinaryEngine(binary_engine.path), "binary", "the test says so.") for _ in range(2)]
    findings = table([setting], choices, tmp_path / "out")
    assert len({row.id for row in findings.rows}) == len({row.sender for row in findings.rows}) == 2
    assert len({record.config for record in findings.haproxies}) == 2


def only(engine: BinaryEngine, setting: Setting, out: Path) -> SenderRecord:
    (row,) = table([setting], [Choice(engine, "binary", "the test says so.")], out).rows
    return row


def test_a_configuration_that_is_refused_is_told_in_haproxys_words(binary_engine: BinaryEngine, tmp_path: Path) -> None:
    setting = Setting(id="x", title="x", server="send-proxi", expects=V2)
    row = only(binary_engine, setting, tmp_path / "out")
    assert row.verdict is Verdict.UNTESTABLE
    assert "send-proxi" in row.reason


def test_without_openssl_settings_with_tls_are_not_judged(
    binary_engine: BinaryEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    row = only(binary_engine, replace(WRONG[2], caller=replace(CLIENT, tls=Tls())), tmp_path / "out")
    assert row.verdict is Verdict.UNTESTABLE
    assert "openssl" in row.reason


class Announced(BinaryEngine):
    """Tells when HAProxy is about to start, and when it has; keeps what was started."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.about_to, self.has = threading.Event(), threading.Event()
        self.started: list[HAProxy] = []

    def start(self, text: str, *, files: Mapping[str, bytes] = NO_FILES, timeout: float = 10.0) -> HAProxy:
        self.about_to.set()
        haproxy = super().start(text, files=files, timeout=timeout)
        self.started.append(haproxy)
        self.has.set()
        return haproxy


@pytest.mark.parametrize("moment", ["about_to", "has"])
def test_an_interrupt_leaves_nothing_running(binary_engine: BinaryEngine, tmp_path: Path, moment: str) -> None:
    engine = Announced(binary_engine.path)
    findings = Findings()
    # It waits for a check that never comes.
    setting = replace(WRONG[-1], server="send-proxy-v2")

    async def run() -> None:
        choice = Choice(engine, "binary", "the test says so.")
        with RunDirectory.create("sender", tmp_path / "out") as out:
            work = asyncio.create_task(sender_table([setting], [choice], out, findings, lambda name, rows: None))
            assert await asyncio.to_thread(getattr(engine, moment).wait, 30)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

    asyncio.run(asyncio.wait_for(run(), 60))
    assert findings.rows == []
    assert len(engine.started) == 1
    assert not Path(engine.started[0].runtime.address).parent.exists()

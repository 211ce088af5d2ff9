"""Every seeded defect shows, shows as it says, and shows nowhere else; and they are well described."""

import asyncio
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence

import pytest

from proxyspec_server.assembly import Assembly, assemble
from proxyspec_server.defects import DEFECTS, Defect, seeded
from proxyspec_server.defects.seed import AS_PROXIED, EXIT_PANIC, L4, PROCESS_GONE, SESSION, v2
from proxyspec_server.probe import Look, Pause, Probe, StartTls, running
from proxyspec_server.profile import STRICT
from proxyspec_server.proxy import V1Reader

PLAIN = {
    "v1": Probe(steps=(L4, Pause(0.1), SESSION)),
    "v2": Probe(steps=(v2(), Pause(0.1), SESSION)),
}
PATIENCE = 30


async def answers(
    assembly: Assembly, probe: Probe | None, others: Sequence[Probe] = (), tls: ssl.SSLContext | None = None
) -> list[str]:
    """What a server of this assembly answers to `probe`, and then to the others."""
    async with running(assembly.profile, assembly.connection_type, assembly.server_type, tls=tls) as rig:
        seen = [(await rig.ask(probe)).summary(probe.look)] if probe is not None else []
        rest = await asyncio.gather(*(rig.ask(other) for other in others))
        return [*seen, *(other.summary() for other in rest)]


async def compared(defect: Defect, tls: ssl.SSLContext | None) -> tuple[list[str], list[str]]:
    shows = None if defect.defective == PROCESS_GONE else defect.shows
    return await asyncio.gather(
        answers(assemble(STRICT), defect.shows, tls=tls),
        answers(assemble(STRICT, defect.override), shows, list(PLAIN.values()), tls),
    )


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_a_defect_shows_and_spoils_nothing_else(defect: Defect, request: pytest.FixtureRequest) -> None:
    tls = request.getfixturevalue("certificate") if StartTls() in defect.shows.steps else None
    healthy, defective = asyncio.run(compared(defect, tls))
    assert defect.healthy != defect.defective
    assert healthy == [defect.healthy]
    assert defective[:-2] == ([] if defect.defective == PROCESS_GONE else [defect.defective])
    assert {name for name, answer in zip(PLAIN, defective[-2:], strict=True) if answer != AS_PROXIED} == defect.spoils


@pytest.mark.parametrize("name", [defect.name for defect in DEFECTS.values() if defect.defective == PROCESS_GONE])
def test_a_panic_ends_the_process(name: str) -> None:
    command = [sys.executable, "-m", "proxyspec_server", "--defect", name]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--trust", "127.0.0.1"], stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stderr is not None
            listening = next(line for line in server.stderr if line.startswith("listening on "))
            with socket.create_connection(("127.0.0.1", int(listening.rpartition(":")[2])), PATIENCE) as connection:
                for step in DEFECTS[name].shows.steps:
                    assert isinstance(step, bytes)
                    connection.sendall(step)
                assert server.wait(PATIENCE) == EXIT_PANIC
        finally:
            server.kill()


def test_there_are_enough_defects_of_every_family() -> None:
    assert len(DEFECTS) >= 60
    families = {defect.family for defect in DEFECTS.values()}
    assert families >= {
        "closing",
        "commands",
        "deadline",
        "detection",
        "encryption",
        "fragments",
        "leaks",
        "second_header",
        "trusting",
        "v1_address",
        "v1_grammar",
        "v1_line",
        "v1_port",
        "v2_fixed",
        "v2_length",
        "v2_tlv",
    }


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_a_defect_is_described(defect: Defect) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", defect.name)
    assert defect.sentence.endswith(".")
    assert len(defect.sentence) <= 120
    assert defect.origin
    assert bool(defect.killed_by) != bool(defect.unseen)


def test_no_two_defects_have_one_name() -> None:
    with pytest.raises(ValueError, match="v1-tab"):
        seeded("v1-tab", origin="x", killed_by=("x",), shows=b"")(V1Reader)


def test_a_defect_needs_a_sentence() -> None:
    class Silent(V1Reader):
        pass

    with pytest.raises(ValueError, match="docstring"):
        seeded("v1-silent", origin="x", killed_by=("x",), shows=b"")(Silent)


@pytest.mark.parametrize(("killed_by", "unseen"), [((), ""), (("x",), "nobody looks there")])
def test_a_defect_needs_a_case_or_a_reason_and_not_both(killed_by: tuple[str, ...], unseen: str) -> None:
    class Odd(V1Reader):
        """Odd."""

    with pytest.raises(ValueError, match="either cases that expose it or the reason"):
        seeded("v1-unclaimed", origin="x", shows=b"", killed_by=killed_by, unseen=unseen)(Odd)


def test_servers_with_a_defect_share_nothing() -> None:
    defect = DEFECTS["address-to-next"]
    assert asyncio.run(answers(assemble(STRICT, defect.override), defect.shows)) == [defect.defective]
    alone = Probe(steps=defect.shows.steps, look=Look.WIRE)
    assert asyncio.run(answers(assemble(STRICT, defect.override), alone)) == [defect.healthy]


def test_without_a_defect_nothing_is_overridden() -> None:
    assert assemble(STRICT) == Assembly(STRICT)

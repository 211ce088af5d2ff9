"""What a server says and tolerates, as data: reply texts, limits, header versions and choices."""

from dataclasses import dataclass, field

from proxyspec_server.proxy import DEFAULT_MAX_HEADER_SIZE, STRICT_CHOICES, Choices, HeaderParser, Readers, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """Reply lines without CRLF. `{name}` is the server's name, `{address}` the client's address, `{verb}` a command.

    A refused command that is answered with 421 or 521 is the last one (RFC 5321, section 3.8, and RFC 7504). An empty
    text where the connection ends means that it ends without a word.
    """

    banner: str = "220 {name} ESMTP proxyspec"
    bye: str = "221 2.0.0 {name} closing connection"
    done: str = "250 2.0.0 OK"
    hello: str = "{name} Hello {helo} [{address}]"
    sender_ok: str = "250 2.1.0 Sender OK"
    recipient_ok: str = "250 2.1.5 Recipient OK"
    accepted: str = "250 2.0.0 OK queued as {id}"
    start_tls: str = "220 2.0.0 Ready to start TLS"
    go_ahead: str = "354 End data with <CR><LF>.<CR><LF>"
    help: str = "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT"
    cannot_verify: str = "252 2.1.5 Cannot verify, send some mail to find out"

    header_malformed: str = "421 4.3.2 {name} invalid PROXY header"
    header_too_long: str = "421 4.3.2 {name} invalid PROXY header"
    header_timeout: str = "421 4.4.2 {name} PROXY timed out"
    proxy_refused: str = "421 4.7.0 PROXY not allowed from {address}"
    idle_timeout: str = "421 4.4.2 {name} idle for too long"
    shutdown: str = "421 4.3.2 {name} shutting down"
    too_many_connections: str = "421 4.3.2 {name} too many connections"
    too_many_waiting: str = "421 4.3.2 {name} too many connections wait for their header"
    too_many_from_client: str = "421 4.7.0 {name} too many connections from {address}"
    too_many_bad_commands: str = "421 4.7.0 {name} too many bad commands"

    cannot_store: str = "452 4.3.1 Cannot store the message now"
    too_many_recipients: str = "452 4.5.3 Too many recipients"

    unknown_command: str = "500 5.5.1 Command not recognised"
    line_too_long: str = "500 5.5.2 Line too long"
    syntax: str = "501 5.5.4 Syntax: {usage}"
    bad_sender: str = "501 5.1.7 Bad sender address"
    bad_recipient: str = "501 5.1.3 Bad recipient address"
    not_implemented: str = "502 5.5.1 Command not implemented"
    tls_active: str = "503 5.5.1 TLS is active already"
    second_header: str = "503 5.5.1 PROXY comes first and only once"
    hello_first: str = "503 5.5.1 Say EHLO or HELO first"
    nested_mail: str = "503 5.5.1 A transaction is open already"
    no_mail: str = "503 5.5.1 Say MAIL first"
    no_recipients: str = "503 5.5.1 No valid recipients"
    too_big: str = "552 5.3.4 The message is larger than {limit} bytes"
    needs_smtputf8: str = "553 5.6.7 Non-ASCII addresses need SMTPUTF8"
    text_line_too_long: str = "554 5.6.0 A line of the message is too long"
    unknown_parameter: str = "555 5.5.4 Parameter not recognised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Security limits: sizes in bytes with CRLF, times in seconds."""

    header_size: int = DEFAULT_MAX_HEADER_SIZE
    header_timeout: float = 30.0
    """From accept to the complete header, however many bytes come meanwhile (section 2)."""
    tls_timeout: float = 30.0
    """From the beginning of a TLS handshake to its end, however many bytes come meanwhile."""
    idle_timeout: float = 300.0
    """Between two receptions (RFC 5321, section 4.5.3.2.7)."""
    linger: float = 2.0
    """How long a closed connection is still read from, so that unread input does not turn our FIN into an RST."""
    write_timeout: float = 30.0
    """How long a peer may leave its replies unread."""
    connections: int = 16_384
    waiting: int | None = None
    """Connections that wait for their header at a time; None for as many as there may be connections."""
    connections_per_client: int | None = None
    """Connections of one client address at a time, behind a proxy the proxied one; None for no limit.

    A proxy is no client: connections it opens for itself, or whose client it does not name, are not counted, so that
    health checks are never starved.
    """

    command_line: int = 512
    """RFC 5321, section 4.5.3.1.4."""
    mail_line: int = 512 + 26 + 17 + 10
    """MAIL with its parameters: RFC 1870 section 3, RFC 6152 section 2, RFC 6531 section 3.1."""
    text_line: int = 1000
    """RFC 5321, section 4.5.3.1.6."""
    path: int = 256
    """RFC 5321, section 4.5.3.1.3, with the angle brackets."""
    message: int = 50 * 1024 * 1024
    recipients: int = 1000
    bad_commands: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One server's habits."""

    name: str
    summary: str
    """One sentence for those who choose."""
    versions: frozenset[int] = frozenset({1, 2})
    """Versions of the PROXY protocol spoken; a header of another version is malformed."""
    choices: Choices = STRICT_CHOICES
    """What the PROXY protocol text leaves free."""
    held: frozenset[Rule] = frozenset()
    """Broken rules that get no answer before the header deadline; what follows is dropped meanwhile."""
    received_client: str = "{literal}"
    """What the Received field tells of the client: `{literal}` is its address literal, `{address}` its bare address."""
    replies: Replies = field(default_factory=Replies)
    limits: Limits = field(default_factory=Limits)
    readers: Readers = field(default_factory=Readers)
    """The classes that read headers; no profile has any but the sound ones."""
    header_parser: type[HeaderParser] = field(init=False, repr=False, compare=False)
    """The readers, put together for the choices."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "header_parser", self.readers.parser_for(self.choices))


STRICT = Profile(name="strict", summary="The text to the letter; what it leaves free is refused where it looks broken.")
"""The text to the letter."""

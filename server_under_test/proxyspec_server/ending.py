"""How a connection ended: the classes the log counts."""

from enum import StrEnum


class Ending(StrEnum):
    """The first thing that made a connection end; what the peer does after that changes nothing."""

    QUIT = "quit"
    """The client said QUIT and got its 221."""

    FIN_BEFORE_HEADER = "fin-before-header"
    """A trusted peer closed without sending a byte: a health check that only connects."""
    FIN_WITHIN_HEADER = "fin-within-header"
    FIN_AFTER_HEADER = "fin-after-header"
    """Closed after the header and before any command: a health check that looks at the banner at most."""
    FIN_AFTER_BANNER = "fin-after-banner"
    """The same without a header, from a peer that need not send one."""
    FIN_WITHIN_HANDSHAKE = "fin-within-handshake"
    """Closed inside the TLS handshake, whether the connection began with it or STARTTLS asked for it."""
    FIN_MID_SESSION = "fin-mid-session"

    RST_BEFORE_HEADER = "rst-before-header"
    RST_WITHIN_HEADER = "rst-within-header"
    RST_AFTER_HEADER = "rst-after-header"
    RST_AFTER_BANNER = "rst-after-banner"
    RST_WITHIN_HANDSHAKE = "rst-within-handshake"
    RST_MID_SESSION = "rst-mid-session"
    RST_WHILE_WRITING = "rst-while-writing"
    """The reset showed when the server wrote, or came while replies piled up unsent: they are lost."""

    HEADER_DEADLINE = "header-deadline"
    HEADER_MALFORMED = "header-malformed"
    TLS_DEADLINE = "tls-deadline"
    TLS_FAILED = "tls-failed"
    """What the peer sent is no TLS, or no TLS that the server accepts."""
    REFUSED = "refused"
    """PROXY from a peer that is not on the trust list."""
    IDLE = "idle"
    BAD_COMMANDS = "bad-commands"
    SLOW_READER = "slow-reader"
    """The peer did not read its replies."""
    TOO_MANY_CONNECTIONS = "too-many-connections"
    TOO_MANY_WAITING = "too-many-waiting"
    """Too many connections wait for their header."""
    TOO_MANY_FROM_CLIENT = "too-many-from-client"
    """The client behind the proxy has too many connections."""
    SHUTDOWN = "shutdown"
    FAULT = "fault"
    """The server's own fault; the log has the exception."""


REFUSALS = frozenset(
    {
        Ending.HEADER_MALFORMED,
        Ending.REFUSED,
        Ending.TLS_FAILED,
        Ending.TOO_MANY_CONNECTIONS,
        Ending.TOO_MANY_WAITING,
        Ending.TOO_MANY_FROM_CLIENT,
    }
)
"""The endings in which the server turned somebody away."""

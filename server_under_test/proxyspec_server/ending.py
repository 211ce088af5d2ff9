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
    FIN_MID_SESSION = "fin-mid-session"

    RST_BEFORE_HEADER = "rst-before-header"
    RST_WITHIN_HEADER = "rst-within-header"
    RST_AFTER_HEADER = "rst-after-header"
    RST_AFTER_BANNER = "rst-after-banner"
    RST_MID_SESSION = "rst-mid-session"
    RST_WHILE_WRITING = "rst-while-writing"
    """The reset showed when the server wrote: the peer had closed before the reply."""

    HEADER_DEADLINE = "header-deadline"
    HEADER_MALFORMED = "header-malformed"
    REFUSED = "refused"
    """PROXY from a peer that is not on the trust list."""
    IDLE = "idle"
    BAD_COMMANDS = "bad-commands"
    SLOW_READER = "slow-reader"
    """The peer did not read its replies."""
    TOO_MANY_CONNECTIONS = "too-many-connections"
    SHUTDOWN = "shutdown"
    FAULT = "fault"
    """The server's own fault; the log has the exception."""

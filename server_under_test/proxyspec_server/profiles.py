"""The profiles there are. Each is data: what makes one behave differently is a field of `Profile`, never its name."""

from collections.abc import Mapping
from types import MappingProxyType

from proxyspec_server.profile import STRICT, Limits, Profile, Replies
from proxyspec_server.proxy import Choices, Freedom, Reading, Rule

LENIENT = Profile(
    name="lenient",
    summary="Takes what the text leaves free the tolerant way, and breaks no MUST.",
    choices=Choices(passed_over=frozenset(Freedom)),
    limits=Limits(header_size=16 + 0xFFFF),
)

# What Haraka lets pass against the text (a bare LF, any number as a port, a second line) is left out: such things are
# defects here, and have names of their own.
HARAKA = Profile(
    name="haraka",
    summary="Answers a proxy as Haraka 3.3 does: version 1 only, UNKNOWN refused, its wording, its patience.",
    versions=frozenset({1}),
    choices=Choices(unknown=Reading.REFUSED, max_line=512, whole_lines=True),
    # What does not begin as a PROXY line is an early talker there, who waits for the timeout.
    held=frozenset({Rule.PREFIX}),
    # Nothing is looked up here, so every client has the same reverse name; and the address has no IPv6 tag.
    received_client="unknown [{address}]",
    replies=Replies(
        banner="220 {name} ESMTP Haraka ready",
        bye="221 {name} closing connection. Have a jolly good day.",
        hello="{name} Hello unknown [{address}], Haraka is at your service.",
        header_malformed="421 Invalid PROXY format",
        header_too_long="521 Command line too long",
        header_timeout="421 PROXY timeout",
        proxy_refused="421 PROXY not allowed from {address}",
        idle_timeout="421 timeout",
        line_too_long="521 Command line too long",
        unknown_command="500 Unrecognized command",
    ),
)

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in (STRICT, LENIENT, HARAKA)})
"""All profiles by name, the default first."""

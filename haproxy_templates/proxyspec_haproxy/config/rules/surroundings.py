"""Rules about where HAProxy runs."""

from __future__ import annotations

from collections.abc import Iterator

from proxyspec_haproxy.config.findings import Found, Level, Setup, rule

__all__ = [
    "container_global",
    "low_port",
]


@rule("container/global", Level.INFO)
def container_global(setup: Setup) -> Iterator[Found]:
    """The global section fits a container."""
    hurts = {
        "chroot": ("is fatal where HAProxy does not start as root", "leave it out: the container is one"),
        "daemon": ("puts HAProxy into the background, and the container ends at once", "leave it out"),
        "user": ("cannot be changed where HAProxy does not start as root", "leave it out: the image has its user"),
        "group": ("cannot be changed where HAProxy does not start as root", "leave it out: the image has its group"),
    }
    for line in setup.document.global_directives:
        if line.keyword in hurts:
            effect, remedy = hurts[line.keyword]
            yield Found(
                line.place,
                f"in a container `{line.keyword}` {effect}",
                "the official image runs HAProxy in the foreground as a user of its own (uid 99)",
                remedy,
                Level.WARN if setup.expected.container else None,
            )


@rule("container/low-port", Level.INFO)
def low_port(setup: Setup) -> Iterator[Found]:
    """The ports can be bound by a user other than root."""
    if not setup.expected.container:
        return
    for proxy in setup.services:
        for bind in proxy.binds:
            port = bind.address.port
            if port is not None and 0 < port < 1024:
                yield Found(
                    bind.place,
                    f"port {port} cannot be bound by the image's user with the host's network",
                    "ports below 1024 want root, or a lower net.ipv4.ip_unprivileged_port_start",
                    f"bind {port + 10000 if port != 25 else 2525} and let Docker publish it as {port}",
                )

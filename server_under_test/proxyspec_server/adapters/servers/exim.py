"""Exim, with its option hosts_proxy."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from proxyspec_server.adapters.contract import HERE, HOST, UNLISTED, Adapter, Facts, Launch, Place
from proxyspec_server.adapters.errors import AdapterError
from proxyspec_server.adapters.packages import debian
from proxyspec_server.adapters.surroundings import accounts

__all__ = ["Exim"]

#: Built in (PROXY_NEGOTIATION_TIMEOUT_SEC).
_DEADLINE: Final = 3.0
_CONFIG: Final = """\
primary_hostname = {name}
daemon_smtp_ports = {port}
local_interfaces = {host}
exim_path = {exim}
keep_environment =
spool_directory = {run}/spool
log_file_path = {run}/logs/%slog
pid_file_path = {run}/spool/exim.pid
hosts_proxy = {hosts}
host_lookup =
rfc1413_hosts =
dns_again_means_nonexist = *
smtp_accept_max = 1000
smtp_accept_max_per_host =
smtp_connect_backlog = 1024
smtp_accept_queue = 0
queue_only = true
smtp_enforce_sync = false
tls_advertise_hosts =
chunking_advertise_hosts =
helo_accept_junk_hosts = *
log_selector = +smtp_connection +smtp_protocol_error +smtp_syntax_error +proxy +incoming_port
acl_smtp_rcpt = take
acl_smtp_data = lose
begin acl
take:
  accept
lose:
  discard
begin routers
lost:
  driver = redirect
  data = :blackhole:
begin retry
begin rewrite
begin authenticators
"""


class Exim(Adapter):
    """Exim's daemon; messages are queued in the folder of this start, and go with it."""

    name: ClassVar[str] = "exim"
    summary: ClassVar[str] = "Exim (heavy) with hosts_proxy"
    origin: ClassVar[str] = "from the distribution"
    tools: ClassVar[tuple[str, ...]] = ("apt-get", "dpkg")
    needs_root: ClassVar[bool] = True
    has_list: ClassVar[bool] = True

    def install(self, folder: Path, version: str) -> str:
        """Unpack the packages; see `Adapter.install`."""
        return debian(folder, "exim4-daemon-heavy")

    def prepare(self, place: Place) -> Launch:
        """Write exim.conf; see `Adapter.prepare`."""
        if place.header_timeout not in (None, _DEADLINE):
            raise AdapterError(f"Exim waits {_DEADLINE:g} s for a header, which is built in")
        for name in ("spool", "logs"):
            # Exim changes to its own user, which these processes alone know.
            place.folder(name, mode=0o777)
        exim = str(place.software / "usr/sbin/exim4")
        config = place.write(
            "exim.conf",
            _CONFIG.format(
                exim=exim,
                name=HOST,
                port=place.port,
                host=HERE,
                run=place.run,
                # A colon parts the list; one of an address is doubled.
                hosts=" : ".join(host.replace(":", "::") for host in place.hosts),
            ),
        )
        return Launch(
            commands=((exim, "-C", str(config), "-bdf"),),
            facts=Facts(
                header_timeout=_DEADLINE, trusted=HERE, untrusted=UNLISTED, capabilities=("no-crc32c",), parallel=4
            ),
            deserted_seconds=3,
            bindings=accounts(place.run),
            # As it takes no library path from its environment when it runs itself again.
            layers={"/usr/lib": place.software / "usr/lib"},
            needs_bindings=True,
        )

"""Postfix, twice: smtpd by itself, and postscreen before smtpd."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Final

from proxyspec_server.adapters.contract import HERE, HOST, Adapter, Facts, Launch, Place
from proxyspec_server.adapters.packages import debian, library_path
from proxyspec_server.adapters.surroundings import accounts

__all__ = ["Postscreen", "Smtpd"]

_DEADLINE: Final = 5.0
_MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {run}/queue
data_directory = {run}/data
daemon_directory = {sbin}
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {run}/config
mail_owner = postfix
setgid_group = postdrop
default_privs = nobody
myhostname = {name}
mydestination = {name}
mynetworks = {host}/32
inet_interfaces = {host}
inet_protocols = all
import_environment = MAIL_CONFIG LD_LIBRARY_PATH
export_environment = LD_LIBRARY_PATH
maillog_file = {log}
maillog_file_prefixes = /
alias_maps =
alias_database =
local_recipient_maps =
disable_dns_lookups = yes
smtpd_peername_lookup = no
biff = no
default_process_limit = 200
# One whose first client kills it is followed by another at once, not in a minute.
service_throttle_time = 1s
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
local_transport = discard
# A line for every EHLO, with the name given and the address believed.
smtpd_delay_reject = no
smtpd_helo_restrictions = check_helo_access static:{{WARN seen}}
{listener}
"""
_SERVICES: Final = """\
{listen}
postlog   unix-dgram n - n - 1 postlogd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
anvil     unix - - n - 1 anvil
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
"""
_FOLDERS: Final = (
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "private",
    "saved",
    "trace",
)


class _Postfix(Adapter):
    origin: ClassVar[str] = "from the distribution"
    tools: ClassVar[tuple[str, ...]] = ("apt-get", "dpkg")
    needs_root: ClassVar[bool] = True
    software: ClassVar[str] = "postfix"

    def install(self, folder: Path, version: str) -> str:
        """Unpack the package; see `Adapter.install`."""
        return debian(folder, "postfix")

    @abstractmethod
    def _listener(self, place: Place, deadline: float) -> tuple[str, str]:
        """Return what is special in main.cf and in master.cf."""

    def prepare(self, place: Place) -> Launch:
        """Write main.cf and master.cf; see `Adapter.prepare`."""
        deadline = max(1.0, round(place.header_timeout or _DEADLINE))
        main, master = self._listener(place, deadline)
        sbin = place.software / "usr/lib/postfix/sbin"
        values = {"run": place.run, "root": place.software, "sbin": sbin, "name": HOST, "host": HERE, "log": place.log}
        place.write("config/main.cf", _MAIN.format(listener=main, **values))
        place.write("config/master.cf", _SERVICES.format(listen=master))
        place.write("config/dynamicmaps.cf", "")
        place.write("config/postfix-files", "")
        place.folder("data", mode=0o777)
        place.folder("queue")
        for name in (*_FOLDERS, "pid", "public", "maildrop"):
            place.folder(f"queue/{name}", mode=0o777)
        return Launch(
            commands=((str(sbin / "master"), "-c", str(place.run / "config"), "-s"),),
            facts=Facts(
                header_timeout=deadline,
                oracle="log",
                oracle_file=str(place.log),
                oracle_pattern=r"(?:EHLO|HELO) from \S*\[(?P<address>[^]]+)\]",
                # It takes lines of TCP4 and TCP6 alone.
                capabilities=("no-crc32c", "no-unknown"),
                parallel=16,
            ),
            environment={
                "LD_LIBRARY_PATH": library_path(place.software, "usr/lib/postfix"),
                "MAIL_CONFIG": str(place.run / "config"),
            },
            bindings=accounts(place.run),
            needs_bindings=True,
        )


class Smtpd(_Postfix):
    """smtpd with smtpd_upstream_proxy_protocol."""

    name: ClassVar[str] = "postfix"
    summary: ClassVar[str] = "Postfix's smtpd with smtpd_upstream_proxy_protocol"

    def _listener(self, place: Place, deadline: float) -> tuple[str, str]:
        main = f"smtpd_upstream_proxy_protocol = haproxy\nsmtpd_upstream_proxy_timeout = {deadline:g}s"
        return main, f"{place.port} inet n - n - - smtpd"


class Postscreen(_Postfix):
    """postscreen with postscreen_upstream_proxy_protocol; it hands everybody on to smtpd at once."""

    name: ClassVar[str] = "postscreen"
    summary: ClassVar[str] = "Postfix's postscreen with postscreen_upstream_proxy_protocol, before its smtpd"

    def _listener(self, place: Place, deadline: float) -> tuple[str, str]:
        main = (
            "postscreen_upstream_proxy_protocol = haproxy\n"
            f"postscreen_upstream_proxy_timeout = {deadline:g}s\n"
            "postscreen_access_list = static:permit\npostscreen_cache_map =\npostscreen_dnsbl_sites =\n"
            "postscreen_client_connection_count_limit = 2000"
        )
        return (
            main,
            f"{place.port} inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\ndnsblog unix - - n - 0 dnsblog",
        )

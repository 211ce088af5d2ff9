"""Dovecot's submission service, with its option haproxy."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from proxyspec_server.adapters.contract import HERE, HOST, UNLISTED, Adapter, Facts, Launch, Place
from proxyspec_server.adapters.packages import debian
from proxyspec_server.adapters.surroundings import accounts

__all__ = ["Dovecot"]

_DEADLINE: Final = 3.0
_CONFIG: Final = """\
base_dir = {run}/base
state_dir = {run}/base
log_path = /dev/stderr
info_log_path = /dev/stderr
protocols = submission
hostname = {name}
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{run}/mail
submission_relay_host = {host}
submission_relay_port = 9
# Before a login only the end of a session names its address, and only an exported event its EHLO name; both name the
# port the connection came from.
login_log_format_elements = user=<%u> rip=%r lip=%l real_rport=%{{real_rport}}
event_exporter log {{
  format = json
  format_args = time-rfc3339
  transport = log
}}
metric ehlo {{
  filter = event=smtp_server_command_finished AND cmd_name=EHLO
  exporter = log
  fields = cmd_args remote_port
}}
haproxy_trusted_networks = {hosts}
haproxy_timeout = {deadline}s
login_trusted_networks =
service submission-login {{
  chroot =
  process_limit = 400
  inet_listener submission {{
    address = {host}
    port = {port}
    haproxy = yes
  }}
}}
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=dovecot gid=dovecot home={run}/mail
}}
"""


class Dovecot(Adapter):
    """The login process of the submission service: an address shows in its log when a session has ended."""

    name: ClassVar[str] = "dovecot"
    summary: ClassVar[str] = "Dovecot's submission service with haproxy = yes"
    origin: ClassVar[str] = "from the distribution"
    tools: ClassVar[tuple[str, ...]] = ("apt-get", "dpkg")
    needs_root: ClassVar[bool] = True
    has_list: ClassVar[bool] = True

    def install(self, folder: Path, version: str) -> str:
        """Unpack the packages; see `Adapter.install`."""
        return debian(folder, "dovecot-submissiond", "dovecot-core")

    def prepare(self, place: Place) -> Launch:
        """Write dovecot.conf; see `Adapter.prepare`."""
        deadline = max(1, round(place.header_timeout or _DEADLINE))
        for name in ("base", "mail"):
            place.folder(name)
        place.write(
            "etc/dovecot/dovecot.conf",
            _CONFIG.format(
                run=place.run,
                name=HOST,
                host=HERE,
                port=place.port,
                hosts=" ".join(place.hosts),
                deadline=deadline,
            ),
        )
        return Launch(
            commands=(("/usr/sbin/dovecot", "-F"),),
            facts=Facts(
                header_timeout=float(deadline),
                trusted=HERE,
                untrusted=UNLISTED,
                oracle="log",
                oracle_file=str(place.log),
                oracle_pattern=r'(?:rip=(?P<address>[^,]+), .*)?(?:real_rport=|"remote_port":)(?P<connection>\d+)',
                capabilities=("no-anonymous-mail", "no-crc32c"),
                parallel=8,
            ),
            bindings=accounts(place.run),
            # Its programs look for each other, and for their configuration, where the package would have put them.
            layers={
                "/etc": place.run / "etc",
                **{f"/usr/{name}": place.software / "usr" / name for name in ("bin", "lib", "sbin")},
            },
            needs_bindings=True,
        )

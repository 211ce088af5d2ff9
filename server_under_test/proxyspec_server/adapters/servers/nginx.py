"""nginx as a mail proxy: a listener with proxy_protocol and STARTTLS, before the reference server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar, Final

from proxyspec_server.adapters.contract import HERE, HOST, UNLISTED, Adapter, Facts, Launch, Place, free_port
from proxyspec_server.adapters.errors import AdapterError
from proxyspec_server.adapters.packages import debian, library_path
from proxyspec_server.certificate import write_self_signed
from proxyspec_server.tls import CertificateError

__all__ = ["Nginx"]

_DEADLINE: Final = 60.0
_CONFIG: Final = """\
daemon off;
worker_processes 1;
pid {run}/nginx.pid;
error_log stderr notice;
{module}
events {{ worker_connections 4096; }}
mail {{
    server_name {name};
    # Asked for a server at every RCPT; what it was asked is the log in which the believed address stands.
    auth_http {host}:{asked}/;
    proxy_smtp_auth off;
    xclient off;
    resolver off;
    server {{
        listen {host}:{port} proxy_protocol;
        protocol smtp;
        smtp_auth none;
        starttls on;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        timeout {deadline}ms;
        {hosts}
    }}
}}
"""
#: Names the server behind, and writes down for whom it was asked.
_ASKED: Final = """\
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        who = (self.headers.get(name, "") for name in ("Auth-SMTP-Helo", "Client-IP"))
        helo, address = (repr(word[:200])[1:-1] for word in who)
        with open(sys.argv[3], "a") as log:
            log.write(f"helo={helo} client=[{address}]\\n")
        self.send_response(200)
        for name, value in (("Auth-Status", "OK"), ("Auth-Server", sys.argv[1]), ("Auth-Port", sys.argv[4])):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *words):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024


Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""


class Nginx(Adapter):
    """nginx answers EHLO itself and asks for a server at RCPT: the oracle delivers a message."""

    name: ClassVar[str] = "nginx"
    summary: ClassVar[str] = "nginx's mail proxy with proxy_protocol, before the reference server"
    origin: ClassVar[str] = "from the distribution"
    tools: ClassVar[tuple[str, ...]] = ("apt-get", "dpkg", "openssl")
    has_list: ClassVar[bool] = True

    def install(self, folder: Path, version: str) -> str:
        """Unpack the packages; see `Adapter.install`."""
        return debian(folder, "nginx", "libnginx-mod-mail")

    def prepare(self, place: Place) -> Launch:
        """Write nginx.conf, a certificate and the program it asks; see `Adapter.prepare`."""
        try:
            certificate, key = write_self_signed(HOST, place.run)
        except CertificateError as error:
            raise AdapterError(str(error)) from error
        deadline, asked, behind = place.header_timeout or _DEADLINE, free_port(), free_port()
        module = next(place.software.glob("usr/lib/nginx/modules/ngx_mail_module.so"), None)
        config = place.write(
            "nginx.conf",
            _CONFIG.format(
                run=place.run,
                module=f"load_module {module};" if module else "",
                name=HOST,
                host=HERE,
                asked=asked,
                port=place.port,
                deadline=round(deadline * 1000),
                certificate=certificate,
                key=key,
                hosts=" ".join(f"set_real_ip_from {host};" for host in place.hosts),
            ),
        )
        seen = place.write("asked.log", "")
        script = place.write("asked.py", _ASKED)
        server = (sys.executable, "-m", "proxyspec_server", "--listen", f"{HERE}:{behind}", "--log")
        for folder in ("body", "logs"):
            place.folder(folder)
        return Launch(
            commands=(
                (sys.executable, str(script), HERE, str(asked), str(seen), str(behind)),
                (*server, str(place.run / "behind.ndjson")),
                (str(place.software / "usr/sbin/nginx"), "-p", str(place.run), "-c", str(config), "-e", "stderr"),
            ),
            facts=Facts(
                header_timeout=deadline,
                trusted=HERE,
                untrusted=UNLISTED,
                capabilities=("no-crc32c",),
                oracle="log",
                oracle_file=str(seen),
                oracle_pattern=r"client=\[(?P<address>[^]]+)\]",
                recipient=f"probe@{HOST}",
            ),
            environment={"LD_LIBRARY_PATH": library_path(place.software)},
        )

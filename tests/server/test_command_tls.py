"""TLS and the metrics port of the server as a process, as its users meet them."""

import json
import re
import signal
import smtplib
import socket
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from proxyspec_server.command import main, parse
from proxyspec_server.connection import SslTlvUse
from tests.server.test_command import L4, PATIENCE, read_all, server
from tests.server.tls_client import lenient_context


def test_smtplib_speaks_starttls(tmp_path: Path) -> None:
    with server("--tls-self-signed", "--maildir", str(tmp_path / "md")) as process:
        with smtplib.SMTP("127.0.0.1", process.ports[0], local_hostname="me.example", timeout=PATIENCE) as client:
            client.starttls(context=lenient_context())
            client.sendmail("a@example.com", ["b@example.com"], "Subject: x\r\n\r\n.dot\r\n")
        assert process.stop() == 0
    (path,) = (tmp_path / "md" / "new").iterdir()
    assert b"\tby mx.test with ESMTPS id " in path.read_bytes()


def test_the_certificate_is_for_the_servers_name() -> None:
    with server("--tls-self-signed", "--listen-tls", "127.0.0.1:0", listeners=2) as process:
        pem = ssl.get_server_certificate(("127.0.0.1", process.ports[1]), timeout=PATIENCE)
        context = ssl.create_default_context(cadata=pem)
        with (
            socket.create_connection(("127.0.0.1", process.ports[1]), PATIENCE) as raw,
            context.wrap_socket(raw, server_hostname="mx.test") as client,
        ):
            assert client.recv(100) == b"220 mx.test ESMTP proxyspec\r\n"


def test_implicit_tls_behind_a_header(tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = ["--tls-self-signed", "--listen-tls", "127.0.0.1:0", "--trust", "127.0.0.1", "--log", str(log)]
    with server(*options, "--listen", "127.0.0.1:0", listeners=2) as process:
        with socket.create_connection(("127.0.0.1", process.ports[1]), PATIENCE) as raw:
            raw.sendall(L4)
            with lenient_context().wrap_socket(raw, server_hostname="mx.test") as client:
                client.sendall(b"EHLO x\r\nQUIT\r\n")
                said = read_all(client)
        assert said.startswith(b"220 mx.test ESMTP proxyspec\r\n250-mx.test Hello x [192.0.2.1]\r\n")
        assert process.stop() == 0
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["entrance"] for entry in entries if entry["event"] == "listening"] == ["cleartext", "tls"]
    assert [entry["event"] for entry in entries if "connection" in entry] == [
        "connected",
        "header",
        "tls",
        "greeted",
        "helo",
        "closed",
    ]


def test_only_tls_when_only_tls_is_asked_for() -> None:
    options = parse(["--listen-tls", "127.0.0.1:0", "--tls-self-signed"], "serve")
    assert options.listen == ()
    assert [str(endpoint) for endpoint in options.listen_tls] == ["127.0.0.1:0"]


def test_the_metrics_port_and_the_signal(tmp_path: Path) -> None:
    with server("--metrics", "127.0.0.1:0", "--log", "-", "--trust", "127.0.0.1", listeners=2) as process:
        metrics, mail = process.ports
        with socket.create_connection(("127.0.0.1", mail), PATIENCE) as client:
            client.sendall(L4 + b"QUIT\r\n")
            assert b"\r\n221 " in read_all(client)
        process.event("closed")
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=PATIENCE) as response:
            text = response.read().decode()
        assert '\nproxyspec_server_endings_total{ending="quit"} 1\n' in text
        assert '\nproxyspec_server_headers_total{version="1",command="PROXY"} 1\n' in text
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics.json", timeout=PATIENCE) as response:
            found: dict[str, Any] = json.load(response)
        assert found["connections"]["accepted"] == 1
        process.popen.send_signal(signal.SIGUSR1)
        entry = process.event("metrics")
        assert {key: entry[key] for key in found} == found
        assert process.stop() == 0


def test_limits_reach_the_server() -> None:
    options = parse(["--max-per-client", "3", "--max-waiting", "7", "--tls-timeout", "1.5", "--trust-ssl-tlv"], "serve")
    assert options.limits.connections_per_client == 3
    assert options.limits.waiting == 7
    assert options.limits.tls_timeout == 1.5
    assert options.ssl_tlv is SslTlvUse.BELIEVED
    assert parse([], "serve").ssl_tlv is SslTlvUse.SHOWN


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tls-cert", "a.pem"], "--tls-cert and --tls-key go together; give both"),
        (["--tls-key", "a.pem"], "--tls-cert and --tls-key go together; give both"),
        (["--tls-cert", "a", "--tls-key", "b", "--tls-self-signed"], "leave out either it or --tls-cert"),
        (["--tls-cert", "/nonexistent/a", "--tls-key", "b"], "cannot read /nonexistent/a: No such file or directory;"),
        (["--listen-tls", "127.0.0.1:0"], "--listen-tls needs a certificate; add --tls-cert and --tls-key, or"),
        (["--metrics", "192.0.2.1:0"], "--metrics 192.0.2.1:0 can be reached by others; take 127.0.0.1, or add"),
        (["--metrics", "0.0.0.0:0"], "--metrics 0.0.0.0:0 can be reached by others"),
        (["--metrics", "192.0.2.1:0", "--metrics-public", "--listen", "127.0.0.1:0"], "cannot listen on 192.0.2.1:0"),
        (["--max-per-client", "0"], '"0" is not a whole number above 0'),
        (["--max-waiting", "few"], '"few" is not a whole number above 0'),
        (["--tls-timeout", "0"], '"0" is not a number of seconds above 0'),
    ],
)
def test_a_bad_option_is_named_with_its_remedy(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options, prog="serve") == 2
    error = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert told in error
    assert "Traceback" not in error


def test_without_openssl_the_remedy_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--tls-self-signed", "--listen", "127.0.0.1:0"], prog="serve") == 2
    assert capsys.readouterr().err == (
        "serve: cannot run openssl: No such file or directory; "
        "install openssl, or give a certificate of your own with --tls-cert and --tls-key\n"
    )

"""Certificates for a proxy under examination and its clients, made on demand by the program `openssl`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxyspec.sender.expectation import Fact

__all__ = ["CLIENT_NAME", "Certificates", "NoCertificates", "make_certificates"]

#: The common name in the client's certificate.
CLIENT_NAME: Final = "client.sender.proxyspec.test"
_SERVER_NAME: Final = "mx.sender.proxyspec.test"
#: Seconds openssl may take.
_PATIENCE: Final = 30.0


class NoCertificates(Exception):
    """There is no openssl, or it fails; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of certificate and key; the client's is its own authority."""

    server: Path
    client: Path
    #: What a sender should tell of them.
    facts: dict[Fact, bytes]


def _make(path: Path, name: str) -> None:
    key = path.with_suffix(".key")
    command = [
        *("openssl", "req", "-x509", "-sha256", "-nodes", "-days", "2", "-newkey", "rsa:2048"),
        *("-subj", f"/CN={name}", "-keyout", str(key), "-out", str(path)),
    ]
    remedy = "install openssl to have the settings with TLS judged"
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE)
    except OSError as error:
        raise NoCertificates(f"cannot run openssl: {error.strerror or error}; {remedy}") from error
    except subprocess.TimeoutExpired as error:
        raise NoCertificates(f"openssl made no certificate in {_PATIENCE:g} s; {remedy}") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("ascii", "replace").strip().splitlines()
        raise NoCertificates(
            f"openssl made no certificate: {said[-1] if said else 'it said nothing'}; {remedy}"
        ) from error
    path.write_bytes(path.read_bytes() + key.read_bytes())
    key.unlink()


def make_certificates(folder: Path) -> Certificates:
    """Make the proxy's certificate and a client's below `folder`, valid for two days.

    Raises:
        NoCertificates: openssl is missing or fails.
    """
    server, client = folder / "server.pem", folder / "client.pem"
    _make(server, _SERVER_NAME)
    _make(client, CLIENT_NAME)
    facts = {
        Fact.COMMON_NAME: CLIENT_NAME.encode(),
        Fact.KEY_ALG: b"RSA2048",
        Fact.SIG_ALG: b"RSA-SHA256",
    }
    return Certificates(server, client, facts)

"""One mail through one address of HAProxy, as a client of its own sends it."""

from __future__ import annotations

import smtplib
import socket
import ssl
from dataclasses import dataclass

from proxyspec.printable import printable

__all__ = ["CLAIMED", "CLIENT", "Sent", "send_mail"]

#: The client's own address, other than HAProxy's, so that it can be told in what the server saw.
CLIENT = "127.0.0.7"
#: The client a PROXY header claims (RFC 5737), where HAProxy asks for one.
CLAIMED = "192.0.2.77"
_HEADER = f"PROXY TCP4 {CLAIMED} 192.0.2.25 40077 25\r\n".encode()


@dataclass(frozen=True, slots=True)
class Sent:
    """How it went: whether the message was accepted, and what was said or went wrong."""

    accepted: bool
    said: str
    header: bool

    @property
    def client(self) -> str:
        """The address the server should have seen."""
        return CLAIMED if self.header else CLIENT


def send_mail(port: int, sender: str, *, header: bool, tls: bool, timeout: float) -> Sent:
    """Send one message to `port` of 127.0.0.1; `timeout` in seconds bounds every wait. Nothing is raised."""
    try:
        return _send(port, sender, header=header, tls=tls, timeout=timeout)
    except smtplib.SMTPServerDisconnected as error:
        silent = isinstance(error.__context__, TimeoutError)
        said = _silence(timeout) if silent else "the connection was closed without a reply"
        return Sent(accepted=False, said=said, header=header)
    except smtplib.SMTPResponseException as error:
        return Sent(accepted=False, said=f"{error.smtp_code} {_text(error.smtp_error)}", header=header)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        return Sent(accepted=False, said=f"{code} {_text(text)}", header=header)
    except TimeoutError:
        return Sent(accepted=False, said=_silence(timeout), header=header)
    except (smtplib.SMTPException, OSError) as error:
        return Sent(accepted=False, said=_text(str(error)), header=header)


def _send(port: int, sender: str, *, header: bool, tls: bool, timeout: float) -> Sent:
    client = smtplib.SMTP(timeout=timeout, local_hostname="client.proxyspec.test")
    connection = socket.create_connection(("127.0.0.1", port), timeout, source_address=(CLIENT, 0))
    try:
        if header:
            connection.sendall(_HEADER)
        if tls:
            # The certificate is the user's, for another name: whom we reach is no question on loopback.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = context.wrap_socket(connection)
        client.sock = connection
        code, text = client.getreply()
        if code != 220:
            return Sent(accepted=False, said=f"{code} {_text(text)}", header=header)
        client.ehlo_or_helo_if_needed()
        client.sendmail(sender, ["trial@proxyspec.test"], "Subject: trial\r\n\r\ntrial\r\n")
        code, text = client.quit()
        return Sent(accepted=True, said=f"accepted, then {code} {_text(text)}", header=header)
    finally:
        connection.close()
        client.close()


def _silence(timeout: float) -> str:
    return f"no greeting or reply within {timeout:g} s"


def _text(value: bytes | str) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return printable(text[:200])

"""Where messages go: nowhere, or into a Maildir."""

import os
import socket
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import time

from proxyspec_server.message import DeliveryFailed, Message


def discard(message: Message) -> None:
    """Accept the message and forget it."""


class Maildir:
    """Delivers every message into one Maildir, whoever the recipients are, with the line ends it had on the wire."""

    def __init__(self, path: Path) -> None:
        """Create `path` and its three folders where missing. Raises OSError when that is impossible."""
        self._tmp = path / "tmp"
        self._new = path / "new"
        for folder in (self._tmp, self._new, path / "cur"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._host = socket.gethostname().replace("/", "_").replace(":", "_")
        self._serial = count()

    def __call__(self, message: Message) -> None:
        """Write the message to tmp, then move it to new under a unique name. Raises DeliveryFailed."""
        name = f"{int(time())}.P{os.getpid()}Q{next(self._serial)}.{self._host}"
        temporary = self._tmp / name
        try:
            with temporary.open("xb") as file:
                file.write(f"Return-Path: <{message.sender}>\r\n".encode())
                file.writelines(message.chunks)
            temporary.rename(self._new / name)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise DeliveryFailed(f"cannot write {temporary}: {error.strerror or error}") from error

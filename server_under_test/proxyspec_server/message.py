"""A received message and the port through which a session hands it on."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple


class Message(NamedTuple):
    """A message as it came off the wire, dots unstuffed, with our Received field as the first chunk.

    `sender` is empty for the null reverse-path. `size` counts the bytes of all chunks. It is a tuple, as that is
    quickest to build.
    """

    id: str
    sender: str
    recipients: tuple[str, ...]
    chunks: tuple[bytes, ...]
    size: int


make_message: Callable[[tuple[str, str, tuple[str, ...], tuple[bytes, ...], int]], Message] = partial(
    tuple.__new__, Message
)
"""Going round NamedTuple's own constructor saves a session half a microsecond."""


class DeliveryFailed(Exception):
    """The message could not be stored now; the client is told to come again (452)."""


Deliver = Callable[[Message], None]
"""Takes responsibility for a message, or raises DeliveryFailed."""

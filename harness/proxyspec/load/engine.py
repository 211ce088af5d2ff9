"""Many sessions on one epoll set: raw non-blocking sockets around the dialogues, deadlines in a wheel of sets.

The engine knows neither threads nor gevent. Whoever owns it calls `turn` when its descriptor is readable, and `expire`
now and then. `_socket` and the real `epoll` are taken on purpose: gevent replaces their front ends, and what it puts
there costs several times as much as a whole session here.
"""

from __future__ import annotations

import _socket
import errno
import itertools
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from proxyspec.load.dialogue import Dialogue, Stance, StepFailed
from proxyspec.tls import TlsClient

__all__ = ["TICK", "Endpoint", "Engine", "Line", "clock"]

#: Seconds between two calls of `expire` that keep deadlines and gaps in time.
TICK: Final = 0.02
_SLOT: Final = round(TICK * 1e9)

#: Bytes taken from a socket at once.
_READ_SIZE: Final = 8 * 1024
#: Owners of ended lines woken at once.
_AWAKE: Final = 16
#: Events taken from the kernel at once.
_EVENTS: Final = 256
_SECOND: Final = 1_000_000_000

_AT_ONCE: Final = struct.pack("ii", 1, 0)
#: Since Linux 4.2: the port is chosen when the peer is known, so that each peer has the whole range.
_BIND_ADDRESS_NO_PORT: Final = 24

_REASONS: Final = {
    errno.ECONNRESET: "reset",
    errno.ECONNREFUSED: "refused",
    errno.EPIPE: "closed",
    errno.ETIMEDOUT: "timeout",
    errno.EADDRNOTAVAIL: "no free port",
    errno.EMFILE: "no free descriptor",
    errno.ENFILE: "no free descriptor",
}

clock: Final = time.perf_counter_ns


def _real_epoll() -> Callable[[], select.epoll]:
    # gevent takes epoll away from the module when it patches it.
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and not hasattr(select, "epoll"):
        found: Callable[[], select.epoll] = monkey.get_original("select", "epoll")
        return found
    return select.epoll


_IN: Final = 0x001
_OUT: Final = 0x004
_ERR: Final = 0x008
_HUP: Final = 0x010
_RDHUP: Final = 0x2000
_EDGE: Final = 1 << 31
_ENDING: Final = _ERR | _HUP | _RDHUP
_LISTENING: Final = _IN | _RDHUP | _EDGE


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where sessions go: an address, not a name; and the local addresses they come from by turns (none: any)."""

    host: str
    port: int
    sources: tuple[str, ...] = ()

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4 or IPv6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET


class Line:
    """One connection and the dialogue on it; what came of it is in `dialogue` and `failure` once it is `over`."""

    __slots__ = (
        "deadline",
        "dialogue",
        "due",
        "ended",
        "failure",
        "number",
        "over",
        "patience",
        "pending",
        "slot",
        "socket",
        "tls",
        "wake",
    )

    socket: _socket.socket

    def __init__(self, dialogue: Dialogue, patience: int) -> None:
        #: The descriptor of `socket`; -1 before there is one.
        self.number = -1
        self.dialogue = dialogue
        #: Nanoseconds each step may take.
        self.patience = patience
        self.deadline = 0
        #: When the next piece of a drip is due; 0: none.
        self.due = 0
        self.slot = 0
        self.pending: bytes | memoryview = b""
        self.tls: TlsClient | None = None
        self.failure: StepFailed | None = None
        self.ended = 0
        self.over = False
        #: Called once, by a later `turn`, when the line is over.
        self.wake: Callable[[], Any] | None = None


class Engine:
    """Plays dialogues side by side. Nothing here raises for what a peer does: it is the failure of that line."""

    def __init__(self) -> None:
        self._epoll = _real_epoll()()
        self._lines: dict[int, Line] = {}
        self._slots: dict[int, set[Line]] = {}
        self._swept = clock() // _SLOT
        self._ended: deque[Line] = deque()
        self._turns = itertools.count()

    def __len__(self) -> int:
        """Connections open."""
        return len(self._lines)

    def fileno(self) -> int:
        """Return the descriptor that is readable when `turn` has something to do."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Close every connection and the epoll set; lines still open fail as `unfinished`."""
        for line in list(self._lines.values()):
            self.abandon(line)
        self._epoll.close()

    def start(self, endpoint: Endpoint, dialogue: Callable[[int], Dialogue], patience: float) -> Line:
        """Connect and play; `dialogue` is called with the time at which connect is. Each step may take `patience` s.

        The line may be over already when it is returned.
        """
        family = endpoint.family
        begun = clock()
        line = Line(dialogue(begun), round(patience * _SECOND))
        try:
            connection = _socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            line.socket, line.number = connection, connection.fileno()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.sources:
                source = endpoint.sources[next(self._turns) % len(endpoint.sources)]
                connection.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                connection.bind((source, 0))
            code = connection.connect_ex((endpoint.host, endpoint.port))
            if code == errno.EINPROGRESS:
                # On the loopback the handshake is over when the first call returns; the second one says so.
                code = connection.connect_ex((endpoint.host, endpoint.port))
        except OSError as error:
            self._over(line, StepFailed(line.dialogue.step, _reason(error.errno)))
            return line
        if code in (0, errno.EISCONN):
            self._keep(line, _LISTENING, begun)
            self._opened(line, clock())
        elif code in (errno.EINPROGRESS, errno.EALREADY):
            self._keep(line, _LISTENING | _OUT, begun)
        else:
            self._over(line, StepFailed(line.dialogue.step, _reason(code)))
        return line

    def abandon(self, line: Line, what: str = "unfinished") -> None:
        """End a line that nobody waits for any more; one that is over stays as it is."""
        line.wake = None
        if not line.over:
            self._over(line, StepFailed(line.dialogue.step, what))

    def turn(self, timeout: float = 0) -> int:
        """Handle what has happened, waiting up to `timeout` seconds for the first event; 0: there is nothing to do.

        Owners of lines that are over are woken here, and nowhere else.
        """
        events = self._epoll.poll(0 if self._ended else timeout, _EVENTS)
        lines = self._lines
        for number, mask in events:
            line = lines.get(number)
            if line is None:
                continue
            if mask == _IN and line.dialogue.at >= 0:
                self._read(line, _IN, clock())
            else:
                self._happened(line, mask)
        self._wake()
        return len(events) + len(self._ended)

    def _wake(self) -> None:
        """Wake some of those whose lines are over; few at a time, so that what they do delays no other line's clock."""
        ended = self._ended
        for _ in range(min(len(ended), _AWAKE)):
            line = ended.popleft()
            wake, line.wake = line.wake, None
            if wake is not None:
                wake()

    def expire(self) -> None:
        """End the lines whose step takes too long, and send what is due; `turn` has to come next."""
        now = clock()
        today = now // _SLOT
        while self._swept < today:
            self._swept += 1
            for line in self._slots.pop(self._swept, ()):
                if line.over:
                    continue
                if line.due and line.dialogue.stance is not Stance.DRIP:
                    # The server has ended the drip before its last piece.
                    line.due = 0
                    line.deadline = now + line.patience
                    self._put(line, line.deadline // _SLOT + 1)
                elif line.due and line.due <= now:
                    line.due = 0
                    self._put(line, today + 1)
                    self._act(line, line.dialogue.due, now)
                elif line.deadline <= now and not line.due:
                    self._over(line, StepFailed(line.dialogue.step, "timeout"))
                else:
                    self._put(line, max((line.due or line.deadline) // _SLOT + 1, today + 1))

    def _keep(self, line: Line, mask: int, now: int) -> None:
        self._lines[line.number] = line
        self._epoll.register(line.number, mask)
        line.deadline = now + line.patience
        self._put(line, line.deadline // _SLOT + 1)

    def _put(self, line: Line, slot: int) -> None:
        line.slot = slot
        found = self._slots.get(slot)
        if found is None:
            self._slots[slot] = {line}
        else:
            found.add(line)

    def _move(self, line: Line, slot: int) -> None:
        found = self._slots.get(line.slot)
        if found is not None:
            found.discard(line)
        self._put(line, slot)

    def _over(self, line: Line, failure: StepFailed | None) -> None:
        line.ended = clock()
        if failure is not None:
            # Its frames hold this line: without them nothing here needs the garbage collector.
            line.failure = failure.with_traceback(None)
        line.over = True
        if self._lines.pop(line.number, None) is not None:
            found = self._slots.get(line.slot)
            if found is not None:
                found.discard(line)
        if line.number >= 0:
            # Closing takes it out of the epoll set.
            line.socket.close()
        self._ended.append(line)

    def _happened(self, line: Line, mask: int) -> None:
        now = clock()
        if line.dialogue.at < 0:
            code = line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._over(line, StepFailed(line.dialogue.step, _reason(code)))
                return
            if not mask & _OUT:
                return
            self._epoll.modify(line.number, _LISTENING)
            self._opened(line, now)
            # Had anything else come by now, changing the mask reports it again.
            return
        if mask & _OUT and line.pending and not self._flush(line, now):
            return
        if mask & (_IN | _ENDING):
            self._read(line, mask, now)

    def _opened(self, line: Line, now: int) -> None:
        self._act(line, line.dialogue.opened, now)

    def _read(self, line: Line, mask: int, now: int) -> None:
        dialogue = line.dialogue
        receive = line.socket.recv
        while True:
            if dialogue.stance is Stance.NOTICE:
                self._act(line, dialogue.noticed, now)
                if line.over or line.dialogue.stance is not Stance.LISTEN:
                    return
            try:
                data = receive(_READ_SIZE)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost(line, _reason(error.errno), now)
                return
            if not data:
                self._lost(line, "closed", now)
                return
            before = dialogue.at
            try:
                out = dialogue.heard(data, now) if line.tls is None else self._deciphered(line, line.tls, data, now)
            except StepFailed as failure:
                self._over(line, failure)
                return
            if dialogue.at != before:
                line.deadline = now + line.patience
            if dialogue.stance is Stance.LISTEN and line.tls is None and not line.pending:
                if out and not self._push(line, out, now):
                    return
            elif not self._send(line, out, now):
                return
            if len(data) < _READ_SIZE and not mask & _ENDING:
                return

    def _deciphered(self, line: Line, tls: TlsClient, data: bytes, now: int) -> bytes:
        dialogue = line.dialogue
        shaking = not tls.established
        plain = tls.feed(data)
        if tls.failed is not None:
            raise StepFailed(dialogue.step, "TLS failed")
        out = b""
        if shaking and tls.established:
            out = dialogue.secured(now)
        if plain:
            out += dialogue.heard(plain, now)
        if tls.closed:
            dialogue.ended("closed", now)
        return out

    def _act(self, line: Line, action: Callable[[int], bytes], now: int) -> None:
        """Let the dialogue do something, and send what it wants."""
        before = line.dialogue.at
        try:
            out = action(now)
        except StepFailed as failure:
            self._over(line, failure)
            return
        if line.dialogue.at != before:
            line.deadline = now + line.patience
        self._send(line, out, now)

    def _send(self, line: Line, out: bytes, now: int) -> bool:
        """Send, then do what the stance wants; tell whether the line goes on."""
        tls = line.tls
        if tls is not None:
            # What the handshake has to say goes first.
            try:
                out = tls.encrypt(out) if out else tls.outgoing()
            except ConnectionError:
                self._over(line, StepFailed(line.dialogue.step, "TLS failed"))
                return False
        if out:
            if line.pending:
                line.pending = bytes(line.pending) + out
            elif not self._push(line, out, now):
                return False
        stance = line.dialogue.stance
        return stance is Stance.LISTEN or self._settle(line, stance, now)

    def _settle(self, line: Line, stance: Stance, now: int) -> bool:
        match stance:
            case Stance.CLOSE | Stance.RESET:
                if line.pending:
                    # What is not sent yet would be lost: the flush that sends the rest comes back here.
                    return True
                if stance is Stance.RESET:
                    line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                self._over(line, None)
                return False
            case Stance.DRIP:
                line.due = now + round(line.dialogue.gap * _SECOND)
                self._move(line, line.due // _SLOT + 1)
            case Stance.SECURE if line.tls is None:
                line.tls = TlsClient()
                return self._send(line, b"", now)
            case _:
                pass
        return True

    def _push(self, line: Line, out: bytes | memoryview, now: int) -> bool:
        """Give the kernel what it takes and keep the rest pending; tell whether the line goes on."""
        try:
            sent = line.socket.send(out)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            # The server may have said why (a 421) before it closed: what it sent can still be read.
            self._last_words(line, _reason(error.errno), now)
            return False
        if sent < len(out):
            self._epoll.modify(line.number, _LISTENING | _OUT)
            line.pending = memoryview(out)[sent:]
        return True

    def _flush(self, line: Line, now: int) -> bool:
        """Send what is pending, as far as the kernel takes it; tell whether the line goes on."""
        pending, line.pending = line.pending, b""
        if not self._push(line, pending, now):
            return False
        if line.pending:
            return True
        self._epoll.modify(line.number, _LISTENING)
        return self._settle(line, line.dialogue.stance, now)

    def _last_words(self, line: Line, what: str, now: int) -> None:
        try:
            while line.tls is None and (data := line.socket.recv(_READ_SIZE)):
                line.dialogue.heard(data, now)
        except StepFailed as failure:
            self._over(line, failure)
            return
        except OSError:
            pass
        self._lost(line, what, now)

    def _lost(self, line: Line, what: str, now: int) -> None:
        try:
            line.dialogue.ended(what, now)
        except StepFailed as failure:
            self._over(line, failure)
        else:
            self._over(line, None)


def _reason(number: int | None) -> str:
    return _REASONS.get(number or 0) or errno.errorcode.get(number or 0) or "unknown error"

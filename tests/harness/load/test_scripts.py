from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.load.counters import classes
from proxyspec.load.dialogue import Exchange, Leave, Notice, Secure, Step
from proxyspec.load.options import MIN_MESSAGE_SIZE, AuthMechanism, Login, SessionOptions, Tls
from proxyspec.load.scripts import PATTERNS, Cut, delivery, message, terminated

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"


@given(st.integers(MIN_MESSAGE_SIZE, 5000))
def test_a_message_has_its_size_and_needs_no_stuffing(size: int) -> None:
    whole = message(size)
    assert whole.endswith(b"\r\n.\r\n")
    content = whole[:-3]
    assert len(content) == size
    lines = content.split(b"\r\n")
    assert lines.pop() == b""
    assert not any(b"\n" in line or b"\r" in line or line.startswith(b".") for line in lines)
    assert max(map(len, lines)) <= 76
    header, _, _ = content.partition(b"\r\n\r\n")
    assert {line.partition(b":")[0] for line in header.split(b"\r\n")} == {b"Date", b"From", b"To", b"Subject"}


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (b"a\nb\n", b"a\r\nb\r\n.\r\n"),
        (b"a\r\nb", b"a\r\nb\r\n.\r\n"),
        (b".\n..x\ry\n", b"..\r\n...x\r\ny\r\n.\r\n"),
        (b"a\n\n", b"a\r\n\r\n.\r\n"),
        (b"a\n.\nQUIT\n", b"a\r\n..\r\nQUIT\r\n.\r\n"),
    ],
)
def test_a_message_file_is_sent_as_data_wants_it(content: bytes, sent: bytes) -> None:
    assert terminated(content) == sent


@given(st.binary(min_size=1, max_size=200))
def test_whatever_a_file_holds_only_its_end_ends_the_message(content: bytes) -> None:
    sent = terminated(content)
    assert sent.endswith(b".\r\n")
    body = b"\r\n" + sent[: -len(b".\r\n")]
    assert b"\r\n.\r\n" not in body
    assert body.replace(b"\r\n", b"").find(b"\n") < 0


def _steps(options: SessionOptions) -> list[str]:
    return [step.value for step in delivery(options).steps]


TRANSACTION = ["mail", "rcpt", "data", "end_of_data"]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (SessionOptions(), ["header_to_banner", "ehlo", *TRANSACTION, "quit"]),
        (SessionOptions(pipelining=True), ["header_to_banner", "ehlo", *TRANSACTION, "quit"]),
        (SessionOptions(messages=2), ["header_to_banner", "ehlo", *TRANSACTION, *TRANSACTION, "quit"]),
        (SessionOptions(tls=Tls.IMPLICIT), ["tls", "header_to_banner", "ehlo", *TRANSACTION, "quit"]),
        (SessionOptions(tls=Tls.STARTTLS), ["header_to_banner", "ehlo", "starttls", "ehlo", *TRANSACTION, "quit"]),
        (
            SessionOptions(login=Login(AuthMechanism.LOGIN, "u", "p")),
            ["header_to_banner", "ehlo", "auth", "auth", "auth", *TRANSACTION, "quit"],
        ),
    ],
)
def test_the_steps_of_a_session(options: SessionOptions, steps: list[str]) -> None:
    assert _steps(options) == ["connect", *steps]


@pytest.mark.parametrize("tls", list(Tls))
def test_pipelining_is_asked_for_in_the_last_ehlo(tls: Tls) -> None:
    moves = delivery(SessionOptions(tls=tls, pipelining=True)).moves
    keywords = [move.keyword for move in moves if isinstance(move, Exchange) and move.step is Step.EHLO]
    assert keywords == (["STARTTLS", "PIPELINING"] if tls is Tls.STARTTLS else ["PIPELINING"])
    assert sum(isinstance(move, Secure) for move in moves) == (tls is not Tls.NONE)


def _auth(mechanism: AuthMechanism) -> list[tuple[bytes, frozenset[int]]]:
    script = delivery(SessionOptions(login=Login(mechanism, "user", "pass:word")))
    return [(m.send, m.codes) for m in script.moves if isinstance(m, Exchange) and m.step is Step.AUTH]


def test_auth_plain() -> None:
    response = base64.b64encode(b"\0user\0pass:word")
    assert _auth(AuthMechanism.PLAIN) == [(b"AUTH PLAIN " + response + b"\r\n", frozenset({235}))]


def test_auth_login() -> None:
    assert _auth(AuthMechanism.LOGIN) == [
        (b"AUTH LOGIN\r\n", frozenset({334})),
        (b"dXNlcg==\r\n", frozenset({334})),
        (b"cGFzczp3b3Jk\r\n", frozenset({235})),
    ]


def test_a_password_is_never_shown() -> None:
    assert "secret" not in repr(SessionOptions(login=Login(AuthMechanism.PLAIN, "user", "secret")))


@pytest.mark.parametrize(
    ("cut", "sent"), [(Cut.NOTHING, b""), (Cut.HALF, HEADER[:20]), (Cut.ALMOST, HEADER[:-1]), (Cut.WHOLE, HEADER)]
)
def test_cuts(cut: Cut, sent: bytes) -> None:
    assert cut.of(HEADER) == sent


def test_patterns_have_names_of_their_own_and_end_themselves() -> None:
    assert len({pattern.name for pattern in PATTERNS}) == len(PATTERNS) >= 5
    for pattern in PATTERNS:
        assert isinstance(pattern.script.moves[-1], Leave)
        assert pattern.title
        assert pattern.endings
    assert any(isinstance(move, Notice) for pattern in PATTERNS for move in pattern.script.moves)


def test_classes_are_apart_and_hold_every_pattern_once() -> None:
    found = classes(PATTERNS)
    assert sorted(name for names, _ in found for name in names) == sorted(pattern.name for pattern in PATTERNS)
    endings = [ending for _, group in found for ending in group]
    assert len(endings) == len(set(endings))
    for pattern in PATTERNS:
        assert any(pattern.name in names and pattern.endings <= group for names, group in found)
    # Those that nothing else may be taken for are judged alone.
    assert {("connect-rst",), ("connect-fin",), ("half-header-rst",)} <= {names for names, _ in found}

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_haproxy import BinaryEngine, hapquote
from proxyspec_haproxy.config import BadLine, Word, split_line

ENVIRONMENT = {"HOST": "mx.example.test", "LIST": "a b c", "EMPTY": ""}

# line -> words, as HAProxy reads them; the live test below asks it.
CASES = [
    ("server smtp1 192.0.2.1:25 check", ["server", "smtp1", "192.0.2.1:25", "check"]),
    ("  a\tb  # c d", ["a", "b"]),
    ("a#b", ["a"]),
    (r"a\#b", ["a#b"]),
    ('a "b # c" d', ["a", "b # c", "d"]),
    ("a 'b \"c\" # d'", ["a", 'b "c" # d']),
    (r"expect rstring ^220\ ", ["expect", "rstring", "^220 "]),
    (r'send "QUIT\r\n"', ["send", "QUIT\r\n"]),
    (r"send 'QUIT\r\n'", ["send", r"QUIT\r\n"]),
    (r"a\\b \x41\x7a", [r"a\b", "Az"]),
    (r"\'a\' \"b\"", ["'a'", '"b"']),
    (r"a\b\q", [r"a\b\q"]),
    ("ends in\\", ["ends", "in\\"]),
    ('x"y z"w', ["xy zw"]),
    ('"" b', ["", "b"]),
    ('"$HOST:25" "${HOST}:25"', ["mx.example.test:25", "mx.example.test:25"]),
    ("$HOST '$HOST'", ["$HOST", "$HOST"]),
    (r'"\$HOST"', ["$HOST"]),
    ('"${UNSET-10s}" "${HOST-10s}"', ["10s", "mx.example.test"]),
    ('"<${UNSET}>"', ["<>"]),
    ('"<${EMPTY}>"', ["<>"]),
    ('"${LIST}" "${LIST[*]}"', ["a b c", "a", "b", "c"]),
    ("a b\r", ["a", "b"]),
    ("", []),
    ("   # nothing", []),
]


@pytest.mark.parametrize(("line", "words"), CASES)
def test_words(line: str, words: list[str]) -> None:
    assert [word.text for word in split_line(line, ENVIRONMENT)] == words


def test_columns_and_unset_variables() -> None:
    words = split_line('  bind "${IP}:${PORT}" crt', {})
    assert [(word.text, word.column) for word in words] == [("bind", 3), (":", 8), ("crt", 24)]
    assert [word.unset for word in words] == [(), ("IP", "PORT"), ()]
    assert split_line('"${.FILE}"', {})[0].unset == ()


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ('a "b', 3, 'the quote " is never closed'),
        ("a 'b", 3, "the quote ' is never closed"),
        (r"a \xg0", 3, "two hexadecimal digits"),
        (r"a \x1", 3, "two hexadecimal digits"),
        ('a "$"', 4, "a variable's name"),
        ('a "${9}"', 4, "a variable's name"),
        ('a "${HOST"', 4, "never closed"),
        ('a "${HOST-x"', 4, "never closed"),
    ],
)
def test_lines_haproxy_gives_up_on(line: str, column: int, reason: str) -> None:
    with pytest.raises(BadLine, match=reason) as bad:
        split_line(line, ENVIRONMENT)
    assert bad.value.column == column


def test_a_line_longer_than_any_configuration_is_refused() -> None:
    with pytest.raises(BadLine, match="longer than 65536 characters"):
        split_line("a" * 65_537, {})


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(st.lists(PRINTABLE, max_size=6))
def test_what_is_quoted_is_read_back(words: list[str]) -> None:
    # Line ends stand for themselves in quotes of hapquote: as \n and \r.
    line = " ".join(hapquote(word) if word else '""' for word in words)
    assert [word.text for word in split_line(line, {})] == words


@given(st.text())
def test_any_line_is_words_or_a_place(line: str) -> None:
    words: tuple[Word, ...] = ()
    stopped = len(line)
    try:
        words = split_line(line, {"A": "1"})
    except BadLine as error:
        stopped = error.column - 1
    assert 0 <= stopped <= len(line)
    columns = [word.column for word in words]
    assert columns == sorted(columns)
    assert all(line[column - 1] not in " \t\v\f" for column in columns)


@given(st.lists(st.text("abc.:/-_09", min_size=1, max_size=8), max_size=8))
def test_plain_words_need_no_quotes(words: list[str]) -> None:
    assert [word.text for word in split_line("  ".join(words), {})] == words


@pytest.mark.haproxy
def test_haproxy_itself_reads_the_same_words(binary_engine: BinaryEngine) -> None:
    """`setenv` takes one word; `show env` gives it back."""
    single = [(line, words) for line, words in CASES if len(words) == 1] + [
        (line.split(" ", 1)[1], words[1:])
        for line, words in CASES
        if (len(words) == 2 and line.startswith("a ")) or line.startswith("send ")
    ]
    values = [(line, words[0]) for line, words in single if words[0] and "\n" not in words[0] and "UNSET" not in line]
    assert len(values) >= 8
    lines = ["global", '    stats socket "${PROXYSPEC_RUN_DIR}/haproxy.sock" mode 600 level admin']
    lines += [f"    presetenv {name} {hapquote(value)}" for name, value in ENVIRONMENT.items() if value]
    lines += [f"    setenv PS_WORD_{number} {line}" for number, (line, _) in enumerate(values)]
    lines += ["defaults", "    timeout connect 1s", "    timeout client 1s", "    timeout server 1s"]
    lines += ["backend none", "    server a 127.0.0.1:9"]
    with binary_engine.start("\n".join(lines) + "\n") as haproxy:
        said = haproxy.runtime.raw("show env").splitlines()
    known = dict(line.partition("=")[::2] for line in said)
    assert {line: known.get(f"PS_WORD_{n}") for n, (line, _) in enumerate(values)} == dict(values)

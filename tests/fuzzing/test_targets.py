"""The targets of the coverage-guided search, on a fixed corpus: the sound server breaks nothing, a faulty one does."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.layers.authoring import local, noop, unknown, v1, v2
from proxyspec_server.connection import Connection
from proxyspec_server.proxy import HeaderParser, V1Reader
from tests.fuzzing.seeds import seeds
from tests.fuzzing.targets import TARGETS, Violation, conversing, feeding, parser, pieces, session

SEEDS = list(seeds())
UNCUT = b"\0\0"


def test_the_corpus_is_not_empty() -> None:
    assert len(SEEDS) > 1000
    assert len(set(SEEDS)) == len(SEEDS)


@pytest.mark.parametrize("name", sorted(TARGETS))
@pytest.mark.parametrize("share", range(4))
def test_the_sound_server_breaks_nothing_of_the_corpus(name: str, share: int) -> None:
    for seed in SEEDS[share::4]:
        TARGETS[name](seed)


@given(st.binary(max_size=200), st.sampled_from([v1(), v2(), v2(tlvs=[noop(2)]), local(), unknown(), b""]))
def test_any_bytes_break_nothing(data: bytes, before: bytes) -> None:
    for cut in (b"\0\0", b"\0\x05", data[:2].ljust(2, b"\0")):
        parser(cut + before + data)
        session(cut + before + data)


@given(st.binary(max_size=50))
def test_the_pieces_are_the_input(data: bytes) -> None:
    first, second = pieces(data)
    assert first + second == data[2:]


class Lax(V1Reader):
    def port(self, text: bytes) -> int:
        return int(text) & 0xFFFF


class LaxParser(HeaderParser):
    v1 = Lax()


class Forgetful(HeaderParser):
    """Sees only what came last."""

    def feed(self, data: bytes):  # type: ignore[no-untyped-def]
        self._buffer = None
        return super().feed(data)


class Hasty(Connection):
    def connected(self):  # type: ignore[no-untyped-def]
        return [*super().connected(), self.write(b"220 mx.test\r\n")]


class Believing(Connection):
    def believed_client(self, header):  # type: ignore[no-untyped-def]
        return header.destination or super().believed_client(header)


def test_a_faulty_parser_is_noticed() -> None:
    with pytest.raises(Violation, match="cut in two is read otherwise"):
        feeding(Forgetful)(b"\0\x05" + v1())
    with pytest.raises(Violation, match="no reading of the text allows"):
        feeding(LaxParser)(UNCUT + v1(dport="65561"))


@pytest.mark.parametrize(("kind", "words"), [(Hasty, "speaks first"), (Believing, "nobody's that the header names")])
def test_a_faulty_connection_is_noticed(kind: type[Connection], words: str) -> None:
    with pytest.raises(Violation, match=words):
        conversing(kind)(UNCUT + v1())


def test_without_atheris_the_remedy_is_named() -> None:
    if find_spec("atheris") is not None:
        command = [sys.executable, "-m", "tests.fuzzing", "parser", "-runs=50"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
        assert "DONE" in ended.stderr or "Done" in ended.stderr, ended.stderr
        return
    command = [sys.executable, "-m", "tests.fuzzing", "parser"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert ended.returncode == 2
    assert "pip install atheris" in ended.stderr

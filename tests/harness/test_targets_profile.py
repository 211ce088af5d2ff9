"""Target profiles: what a file says equals what the flags say; a bad one is named with its place and remedy."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from proxyspec.errors import UsageError
from proxyspec.model import ASSUMED, Capability, Login
from proxyspec.targets import capabilities_of, flags_of, load_target, make_target

WHOLE = """
[target]
url = "smtp://127.0.0.1:2525"
header_timeout = 2
trusted = "127.0.0.1"
untrusted = "127.0.0.3"
versions = [1]
oracle = "log"
oracle_file = "mail.log"
oracle_pattern = '\\[(?P<address>[^]]+)\\]'
recipient = "probe@example.test"
capabilities = ["starttls", "no-crc32c"]
tls_port = 4650
crash_log = "daemon.log"
crash_pattern = "mx: child [0-9]+ was lost"
"""


def profile(tmp_path: Path, text: str) -> str:
    path = tmp_path / "target.toml"
    path.write_text(text)
    return str(path)


def test_a_file_equals_the_flags(tmp_path: Path) -> None:
    from_file = load_target(profile(tmp_path, WHOLE + f"pid = {os.getpid()}\n"))
    assert from_file == make_target(
        "127.0.0.1:2525",
        header_timeout=2.0,
        trusted_source="127.0.0.1",
        untrusted_source="127.0.0.3",
        versions=frozenset({1}),
        oracle="log",
        oracle_file=str(tmp_path / "mail.log"),
        oracle_pattern=r"\[(?P<address>[^]]+)\]",
        recipient="probe@example.test",
        capabilities=["starttls", "no-crc32c"],
        tls_port=4650,
        pid=os.getpid(),
        crash_log=str(tmp_path / "daemon.log"),
        crash_pattern="mx: child [0-9]+ was lost",
    )
    assert from_file.lacks == {Capability.CRC32C}
    assert from_file.capabilities == {Capability.STARTTLS, Capability.IMPLICIT_TLS}


def test_a_url_is_enough_and_flags_count_more(tmp_path: Path) -> None:
    path = profile(tmp_path, '[target]\nurl = "smtp://127.0.0.1:25"\nheader_timeout = 5.5\n')
    assert load_target(path) == make_target("127.0.0.1:25", header_timeout=5.5)
    assert load_target(path, {"header_timeout": 7.0}).header_timeout == 7


def test_flags_describe_a_target_again(tmp_path: Path) -> None:
    words = shlex.split(flags_of(load_target(profile(tmp_path, WHOLE))))
    assert words[0] == "smtp://127.0.0.1:2525"
    said = dict(zip(words[1::2], words[2::2], strict=True))
    assert said == {
        "--header-timeout": "2",
        "--versions": "1",
        "--oracle": "log",
        "--trusted": "127.0.0.1",
        "--untrusted": "127.0.0.3",
        "--oracle-file": str(tmp_path / "mail.log"),
        "--oracle-pattern": r"\[(?P<address>[^]]+)\]",
        "--recipient": "probe@example.test",
        "--capabilities": "starttls,no-crc32c",
        "--tls-port": "4650",
        "--crash-log": str(tmp_path / "daemon.log"),
        "--crash-pattern": "mx: child [0-9]+ was lost",
    }
    assert flags_of(make_target("127.0.0.1:25")) == "smtp://127.0.0.1:25"
    alone = make_target("127.0.0.1:25", untrusted_source="none")
    assert flags_of(alone) == "smtp://127.0.0.1:25 --untrusted none"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "one table, [target]"),
        ("url = 'smtp://127.0.0.1:25'", "'url' beside it"),
        ("[target]\nurl = 'smtp://127.0.0.1:25'\n[other]", "'other' beside it"),
        ("[target]\n", "url: Field required"),
        ("[target]\nurl = 25", "url: Input should be a valid string"),
        (
            "[target]\nurl = 'smtp://127.0.0.1:25'\ntimeout = 3",
            "timeout: Extra inputs are not permitted; the keys are url",
        ),
        ("[target]\nurl = 'smtp://127.0.0.1:25'\nversions = [3]", "versions: [3] must be [1], [2] or [1, 2]"),
        ("[target]\nurl = 'smtp://127.0.0.1:25'\nversions = []", "versions: [] must be"),
        ("[target]\nurl = 'smtp://127.0.0.1:25'\nheader_timeout = 'long'", "header_timeout: Input should be"),
        ("[target]\nurl = 'smtp://192.0.2.1:25'", "--allow-target 192.0.2.1"),
        ("[target]\nurl = 'smtp://127.0.0.1:25'\ntls_port = 0", "--tls-port 0 is out of range"),
        ("[target]\nurl = 'smtp://127.0.0.1:25'\npid = 99999999", "--pid 99999999 is no process"),
        ("[target]\nurl = 'smtp://127.0.0.1:25'\ncapabilities = ['ssl']", "'ssl' is unknown: one of crc32c"),
        ("[target]\nurl = 'smtp://127.0.0.1:25'\nuser = 'me'", "user and password go together"),
        ("[target", "no TOML file"),
        ("\x00", "no TOML file"),
    ],
)
def test_a_bad_profile_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = profile(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_target(path)
    assert words in str(caught.value)
    assert path in str(caught.value)


def test_a_profile_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_target(str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match="larger than"):
        load_target(profile(tmp_path, "#" * (1024 * 1024 + 1)))
    (tmp_path / "latin.toml").write_bytes(b"[target]\nurl = '\xff'")
    with pytest.raises(UsageError, match="no TOML file"):
        load_target(str(tmp_path / "latin.toml"))


def test_capabilities() -> None:
    has, lacks = capabilities_of(["starttls", " no-crc32c ", ""])
    assert has == {Capability.STARTTLS}
    assert lacks == {Capability.CRC32C}
    with pytest.raises(UsageError, match="both present and absent"):
        capabilities_of(["starttls", "no-starttls"])
    with pytest.raises(UsageError, match="needs --tls-port"):
        make_target("127.0.0.1:25", capabilities=["implicit-tls"])


def test_what_a_target_lacks() -> None:
    plain = make_target("127.0.0.1:25")
    every = frozenset(Capability)
    assert plain.missing(every) == every - ASSUMED
    assert make_target("127.0.0.1:25", capabilities=["no-crc32c"], tls_port=1).missing(every) == {
        Capability.STARTTLS,
        Capability.CRC32C,
        Capability.RECEIVED,
    }
    assert Capability.CRC32C in plain.missing(every), "it is declared or shown"
    assert not make_target("127.0.0.1:25", capabilities=["crc32c"]).missing(frozenset({Capability.CRC32C}))
    assert not plain.missing(frozenset())


def test_a_lookalike_goes_with_the_unlisted() -> None:
    assert make_target("127.0.0.1:25").lookalike_source == "127.0.0.103"
    assert make_target("127.0.0.1:25", untrusted_source="none").lookalike_source is None
    assert make_target("127.0.0.1:25", trusted_source="127.0.0.5").lookalike_source is None
    assert make_target("[::1]:25").lookalike_source is None


def test_a_login_declares_that_mail_needs_one_and_makes_up_for_it(tmp_path: Path) -> None:
    text = '[target]\nurl = "smtp://127.0.0.1:25"\n'
    target = load_target(profile(tmp_path, f'{text}user = "me"\npassword = "hush"\n'))
    assert target.logs_in == Login("me", "hush")
    assert target.lacks == {Capability.ANONYMOUS_MAIL}
    assert target.missing(ASSUMED) == frozenset()
    assert "hush" not in repr(target) + flags_of(target)
    without = load_target(profile(tmp_path, f'{text}capabilities = ["no-anonymous-mail"]\n'))
    assert without.missing(ASSUMED) == {Capability.ANONYMOUS_MAIL}
    assert without.logs_in is None

"""Lines that tell of a crash: those of known servers are found, and nothing a client sends can be taken for one."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.crashes import KNOWN, CrashWatch, crash_log, crash_pattern
from proxyspec.errors import UsageError
from proxyspec.model import Target

from .virtual_time import run_virtually

TARGET = Target(host="127.0.0.1", port=25)

#: As they were written when a process was killed, by who is known to write them.
LINES = {
    "Postfix": "Nov 23 04:25:43 mx postfix/master[1]: warning: process /usr/sbin/smtpd pid 9 killed by signal 6",
    "Dovecot": (
        "Nov 23 04:25:48 submission-login: Fatal: master: service(submission-login): child 19 killed with signal 11 "
        "(core dumps disabled - https://dovecot.org/bugreport.html#coredumps) [last ip=192.0.2.1]"
    ),
    "Exim": "2026-11-23 04:26:10 SIGSEGV (fault address: 0x50c6)",
    "OpenSMTPD": "smtpd: warn: lost child: pony express terminated; signal 11",
    "nginx": "2026/11/23 04:25:54 [alert] 20163#20163: worker process 20165 exited on signal 6",
    "HAProxy": "[ALERT]    (1234) : Current worker (1236) exited with code 134 (Aborted)",
    "the reference server": (
        '{"time":"2026-11-23T04:29:52.497+00:00","event":"trouble","reason":"worker 0 (process 22497) died of SIGABRT; '
        'another one takes its place"}'
    ),
    "systemd": "Nov 23 04:25:43 mx systemd[1]: smtpd.service: Main process exited, code=dumped, status=6/ABRT",
    "supervisord": "2026-11-23 04:25:43,123 WARN exited: smtpd (terminated by SIGSEGV (core dumped); not expected)",
    "Linux": "Nov 23 04:25:43 mx kernel: [ 12.345678] smtpd[99]: segfault at 0 ip 00007f sp 00007f error 4 in smtpd",
    "FreeBSD": "Nov 23 04:25:43 mx kernel: pid 99 (smtpd), jid 0, uid 25: exited on signal 11 (core dumped)",
    "a shell": "./run: line 3: 12345 Aborted                 (core dumped) ./smtpd",
    "a failed assertion": "smtpd: src/proxy.c:120: parse_v2: Assertion `length < limit' failed.",
    "the C library": "*** stack smashing detected ***: terminated",
    "C++": "terminate called after throwing an instance of 'std::out_of_range'",
    "a sanitizer": "==99==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000011",
}
#: Where the same servers put what a client sends.
FORGEABLE = (
    "Nov 23 04:25:43 mx postfix/smtpd[7]: warning: malformed header from unknown: {}",
    "Nov 23 04:25:48 submission-login: Error: haproxy: invalid header: {}",
    "Nov 23 04:25:48 mx dovecot: submission-login: Info: Disconnected: {}",
    "2026-11-23 04:26:10 SMTP call from [192.0.2.1] dropped: {}",
    "2026/11/23 04:25:54 [error] 2#2: *1 broken header: {} while reading PROXY protocol",
    "cfab8ea07a14172f smtp connected address={}",
    '{{"time":"2026-11-23T04:29:52.497+00:00","event":"refused","reason":"{}"}}',
    "Nov 23 04:25:43 mx smtpd[9]: {}",
    "listening; got {}",
)


def test_every_known_line_has_its_example() -> None:
    assert LINES.keys() == KNOWN.keys()


@pytest.mark.parametrize("who", KNOWN)
def test_what_a_known_server_writes_is_found_by_its_pattern_alone(who: str) -> None:
    assert crash_pattern(None).match(LINES[who])
    assert [name for name, pattern in KNOWN.items() if re.match(pattern, LINES[who])] == [who]


@pytest.mark.parametrize(
    "line",
    [
        LINES["Postfix"].replace("signal 6", "signal 15"),
        LINES["Postfix"].replace("signal 6", "signal 9"),
        LINES["nginx"].replace("signal 6", "signal 13"),
        LINES["systemd"].replace("6/ABRT", "15/TERM"),
        "Aborted connection from 192.0.2.1",
        "2026/11/23 04:25:54 [notice] 20163#20163: signal 17 (SIGCHLD) received from 20165",
        "",
    ],
)
def test_an_end_that_another_brought_about_is_no_crash(line: str) -> None:
    assert crash_pattern(None).match(line) is None


@pytest.mark.parametrize("around", FORGEABLE)
@pytest.mark.parametrize("who", KNOWN)
def test_a_clients_words_in_a_line_are_no_crash(who: str, around: str) -> None:
    assert crash_pattern(None).match(around.format(LINES[who])) is None


@given(around=st.sampled_from(FORGEABLE), before=st.text(max_size=20), line=st.sampled_from(sorted(LINES.values())))
def test_nor_are_they_whatever_stands_before_them(around: str, before: str, line: str) -> None:
    assert crash_pattern(None).match(around.format(before + line)) is None


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "no regular expression"),
        ("", "whatever a client makes the target log"),
        ("x*", "whatever a client makes the target log"),
        (".*killed by signal", "whatever a client makes the target log"),
        ("^.+killed", "whatever a client makes the target log"),
        ("(?:.*)(?:x)", "begin with what the target itself writes there"),
    ],
)
def test_a_pattern_that_is_of_no_use_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        crash_pattern(pattern)


def test_a_pattern_of_ones_own_is_matched_from_the_beginning_of_a_line() -> None:
    pattern = crash_pattern(r"mx: child \d+ was lost")
    assert pattern.match("mx: child 3 was lost at sea")
    assert pattern.match("mx: got 'mx: child 3 was lost'") is None


def test_the_log_is_read_from_now_on_line_by_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(LINES["Postfix"] + "\n")
    read = crash_log(replace(TARGET, crash_log=str(log)))
    assert read is not None
    assert read() == []
    with log.open("a") as file:
        file.write(f"mx: ready\n{LINES['Postfix'][:30]}")
        file.flush()
        assert read() == [], "half a line"
        file.write(LINES["Postfix"][30:] + "\n" + LINES["nginx"] + "\n")
        file.flush()
        assert read() == [LINES["Postfix"], LINES["nginx"]]
    assert read() == []


def test_the_log_of_the_oracle_will_do_and_without_one_there_is_none(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    assert crash_log(replace(TARGET, oracle="log", oracle_file=str(log))) is not None
    assert crash_log(replace(TARGET, oracle="received", oracle_file=str(log))) is None
    assert crash_log(TARGET) is None


def test_a_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"crash_log .*nowhere cannot be read \(No such file or directory\): name the"):
        crash_log(replace(TARGET, crash_log=str(tmp_path / "nowhere")))
    with pytest.raises(UsageError, match="cannot be read"):
        crash_log(replace(TARGET, crash_log=str(tmp_path)))


def test_each_crash_has_the_time_it_was_told_of() -> None:
    lines: list[str] = []

    def read() -> list[str]:
        new, lines[:] = list(lines), []
        return new

    async def main() -> list[float]:
        watch = CrashWatch(read)
        following = asyncio.create_task(watch.follow())
        for at in (1.0, 2.0):
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            lines.append("x" * 1000)
        await asyncio.sleep(0.1)
        following.cancel()
        assert [len(crash.line) for crash in watch.told] == [400, 400]
        assert len(watch.between(0.0, 1.5)) == 1
        return [crash.at for crash in watch.told]

    assert run_virtually(main()) == pytest.approx([1.0, 2.0], abs=0.06)

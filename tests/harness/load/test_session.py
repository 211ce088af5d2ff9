from __future__ import annotations

import socket

import pytest

from proxyspec.load.dialogue import Step, message, script
from proxyspec.load.options import SessionOptions
from proxyspec.load.session import Endpoint, StepResult, run_session

from .fake_smtp import FakeSmtp, Vice, fake_smtp

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
OPTIONS = SessionOptions(message_size=700)


def _run(fake: FakeSmtp, patience: float = 5.0, header: bytes = HEADER) -> tuple[str | None, list[StepResult]]:
    results: list[StepResult] = []
    failure = run_session(Endpoint(fake.host, fake.port), script(header, OPTIONS), patience, results.append)
    return (None if failure is None else str(failure)), results


@pytest.mark.parametrize("header", [HEADER, b""])
def test_a_session_times_every_step_and_delivers_the_message(header: bytes) -> None:
    with fake_smtp(header=bool(header)) as fake:
        failure, results = _run(fake, header=header)
    assert failure is None
    assert [result.step for result in results] == list(Step)
    assert all(result.failure is None for result in results)
    *steps, whole = results
    assert 0 < sum(result.seconds for result in steps) <= whole.seconds
    assert fake.headers == ([header] if header else [])
    assert fake.messages == [message(700)[:-3]]
    assert [command.split()[0] for command in fake.commands] == [b"EHLO", b"MAIL", b"RCPT", b"DATA", b"QUIT"]


@pytest.mark.parametrize(
    ("vice", "failure", "step"),
    [
        (Vice.BUSY, "421 at banner", Step.HEADER_TO_BANNER),
        (Vice.CLOSES, "closed at banner", Step.HEADER_TO_BANNER),
        (Vice.RESETS, "reset at banner", Step.HEADER_TO_BANNER),
        (Vice.BABBLES, "no reply line at banner", Step.HEADER_TO_BANNER),
        (Vice.GREETS_AND_LEAVES, "421 at ehlo", Step.EHLO),
        (Vice.CLOSES_AT_DATA, "closed at data", Step.DATA),
    ],
)
def test_a_failure_is_classed_by_step_and_reason(vice: Vice, failure: str, step: Step) -> None:
    with fake_smtp(vice) as fake:
        found, results = _run(fake)
    assert found == failure
    *before, failed, whole = results
    assert all(result.failure is None for result in before)
    assert (failed.step, str(failed.failure)) == (step, failure)
    assert (whole.step, str(whole.failure)) == (Step.SESSION, failure)


def test_a_silent_server_times_out() -> None:
    with fake_smtp(Vice.SILENT) as fake:
        failure, results = _run(fake, patience=0.2)
    assert failure == "timeout at banner"
    assert 0.2 <= results[-1].seconds < 5


def test_nobody_listening_is_refused() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        failure, results = _run(FakeSmtp("127.0.0.1", bound.getsockname()[1]))
    assert failure == "refused at connect"
    assert [result.step for result in results] == [Step.CONNECT, Step.SESSION]


def test_the_source_address_is_the_one_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = Endpoint("127.0.0.1", server.getsockname()[1], "127.0.0.9")
        failure = run_session(endpoint, script(HEADER, OPTIONS), 0.1, lambda result: None)
        connection, (address, _) = server.accept()
        connection.close()
    assert str(failure) == "timeout at banner"
    assert address == "127.0.0.9"


class Torn(BaseException):
    """Stands for gevent's GreenletExit."""


def test_a_session_torn_down_is_unfinished_not_forgotten() -> None:
    results: list[StepResult] = []

    def report(result: StepResult) -> None:
        results.append(result)
        if result.step is Step.EHLO and result.failure is None:
            raise Torn

    with fake_smtp() as fake, pytest.raises(Torn):
        run_session(Endpoint(fake.host, fake.port), script(HEADER, OPTIONS), 5.0, report)
    assert [(result.step, str(result.failure)) for result in results[-2:]] == [
        (Step.EHLO, "unfinished at ehlo"),
        (Step.SESSION, "unfinished at ehlo"),
    ]

"""Messages accounted for, on literal attempts and deliveries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.traffic.accounting import account, begun_rate, per_second, time_to
from proxyspec.traffic.model import Action, Attempt, Change, Delivery, Fault, Mark, Step

from .evidence import KILLED, attempt, broken, delivery, evidence


def test_a_calm_run_balances() -> None:
    found = account([attempt("a"), attempt("b")], [delivery("a"), delivery("b", "s2")])
    assert (found.messages, found.sessions, found.sent, found.acknowledged, found.delivered) == (2, 2, 2, 2, 2)
    assert found.lost == found.duplicated == found.unexplained == ()
    assert found.in_doubt == found.refused == 0
    assert not found.misattributed
    assert not found.errors


def test_acknowledged_and_not_delivered_is_lost() -> None:
    assert account([attempt("a"), attempt("b")], [delivery("b")]).lost == ("a",)


def test_a_message_in_two_journals_is_duplicated() -> None:
    found = account([attempt("a")], [delivery("a"), delivery("a", "s2")])
    assert found.duplicated == ("a",)
    assert found.delivered == 1


def test_a_message_twice_in_one_journal_is_duplicated() -> None:
    assert account([attempt("a")], [delivery("a"), delivery("a")]).duplicated == ("a",)


@pytest.mark.parametrize("arrived", [[], [delivery("a")]], ids=["undelivered", "delivered"])
def test_an_unanswered_dot_leaves_doubt_and_is_never_a_loss(arrived: list[Delivery]) -> None:
    found = account([broken("a", Step.END_OF_DATA, "closed")], arrived)
    assert (found.sent, found.in_doubt, found.in_doubt_delivered, found.refused) == (1, 1, len(arrived), 0)
    assert found.lost == found.unexplained == ()


def test_a_refused_dot_is_no_doubt() -> None:
    found = account([broken("a", Step.END_OF_DATA, "421")], [])
    assert (found.in_doubt, found.refused) == (0, 1)


def test_a_second_try_that_succeeds_settles_the_message() -> None:
    tries = [broken("a", Step.BANNER, "421"), broken("a", Step.MAIL, "closed"), attempt("a")]
    found = account(tries, [delivery("a")])
    assert (found.messages, found.sessions, found.acknowledged, found.refused) == (1, 3, 1, 0)
    assert found.errors == {Fault(Step.BANNER, "421"): 1, Fault(Step.MAIL, "closed"): 1}


def test_a_connection_lost_at_quit_was_acknowledged_all_the_same() -> None:
    found = account([attempt("a", fault=Fault(Step.QUIT, "closed"), acknowledged=True)], [delivery("a")])
    assert (found.acknowledged, found.in_doubt, found.lost) == (1, 0, ())
    assert found.errors == {Fault(Step.QUIT, "closed"): 1}


def test_what_nobody_sent_is_unexplained_and_misattributed() -> None:
    found = account([broken("a", Step.MAIL, "closed")], [delivery("a"), delivery("z")])
    assert found.unexplained == ("a", "z")
    assert [one.message for one in found.misattributed] == ["a", "z"]


def test_another_clients_port_is_another_client() -> None:
    found = account([attempt("a")], [delivery("a", client="127.0.1.1:4001")])
    assert [one.client for one in found.misattributed] == ["127.0.1.1:4001"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.booleans()), max_size=20), st.data())
def test_every_message_has_exactly_one_fate(rows: list[tuple[str, bool, bool]], data: st.DataObject) -> None:
    tries: list[Attempt] = [
        attempt(name) if good else broken(name, Step.END_OF_DATA if dot else Step.RCPT, "closed")
        for name, good, dot in rows
    ]
    arrived = [delivery(name) for name in data.draw(st.lists(st.sampled_from("abcd"), max_size=8))]
    found = account(tries, arrived)
    assert found.acknowledged + found.in_doubt + found.refused == found.messages
    assert len(found.lost) + len({one.message for one in arrived} & {n for n, good, _ in rows if good}) == (
        found.acknowledged
    )


CHANGES = [
    Change(0.0, "s1", "UP", ""),
    Change(1.2, "s2", "DOWN", "L4CON"),
    Change(1.4, "s1", "DOWN", "L4CON"),
    Change(2.9, "s1", "UP", "L7OK"),
]
STARTED, STOPPED = Mark(3.0, Action.START, "s1"), Mark(4.0, Action.STOP, "s1")


def test_the_time_to_down_begins_with_the_event_and_is_that_servers() -> None:
    seen = evidence(marks=[KILLED, STARTED, STOPPED], changes=CHANGES)
    assert time_to("DOWN", KILLED, seen) == pytest.approx(0.4)
    assert time_to("DOWN", STOPPED, seen) is None


def test_what_happens_after_the_next_event_is_not_the_first_ones_doing() -> None:
    seen = evidence(marks=[KILLED, STARTED], changes=CHANGES)
    assert time_to("DRAIN", KILLED, seen) is None
    assert time_to("UP", Mark(0.5, Action.READY, "s1"), seen) is None


def test_haproxy_may_notice_a_start_before_it_is_marked() -> None:
    assert time_to("UP", STARTED, evidence(marks=[KILLED, STARTED], changes=CHANGES)) == 0.0


def test_rates_by_half_seconds_keep_every_event() -> None:
    assert per_second([0.0, 0.1, 0.6, 2.2], 1.5) == ((0.25, 4.0), (0.75, 2.0), (1.25, 2.0))
    assert per_second([], 0.0) == ((0.25, 0.0),)


@given(st.lists(st.floats(0, 100)), st.floats(0, 100))
def test_rates_add_up_to_the_number_of_events(times: list[float], until: float) -> None:
    assert sum(rate * 0.5 for _, rate in per_second(times, until)) == pytest.approx(len(times))


def test_the_rate_counts_first_sessions_only() -> None:
    tries = [attempt(f"m{n}", at=n / 10) for n in range(11)]
    assert begun_rate([*tries, attempt("m3", at=0.9)]) == pytest.approx(10.0)
    assert begun_rate(tries[:3]) is None
    assert begun_rate([]) is None

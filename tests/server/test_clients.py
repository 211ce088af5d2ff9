"""Counting the connections of each client."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from proxyspec_server.clients import Clients


def test_a_client_has_as_many_as_it_may() -> None:
    clients = Clients()
    assert [clients.enter("192.0.2.1", 2) for _ in range(4)] == [True, True, False, False]
    assert clients.enter("192.0.2.2", 2)
    clients.leave("192.0.2.1")
    assert clients.enter("192.0.2.1", 2)
    assert not clients.enter("192.0.2.1", 2)


def test_nothing_is_kept_of_those_who_have_left() -> None:
    clients = Clients()
    for number in range(100):
        clients.enter(f"192.0.2.{number}", 1)
        clients.leave(f"192.0.2.{number}")
    assert len(clients) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())), st.integers(1, 3))
def test_agrees_with_a_plain_count(steps: list[tuple[str, bool]], limit: int) -> None:
    clients = Clients()
    counts: Counter[str] = Counter()
    for host, enters in steps:
        if enters:
            assert clients.enter(host, limit) == (counts[host] < limit)
            counts[host] = min(counts[host] + 1, limit)
        elif counts[host]:
            clients.leave(host)
            counts[host] -= 1
        assert len(clients) == sum(1 for count in counts.values() if count)

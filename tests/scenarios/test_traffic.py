"""The traffic scenarios as data: HAProxy takes them all, and each expects something of the mail it sends."""

from __future__ import annotations

from itertools import chain

import pytest

from proxyspec.traffic.expectations import CutShort, Faults, Intact, Offered, RightClients
from proxyspec.traffic.model import Action, Clients, Pool, Scenario, Script
from proxyspec.traffic.runner import topology
from proxyspec_haproxy import Engine, Listen, Settings, choose_all, render_topology
from proxyspec_scenarios.traffic import SCENARIOS


def all_in_one() -> Listen:
    alone = [
        topology(scenario, range(first + 1, first + 1 + scenario.pool.count), first)
        for scenario, first in zip(SCENARIOS, range(20_000, 40_000, 30), strict=False)
    ]
    return Listen(tuple(chain.from_iterable(one.listeners for one in alone)), Settings())


@pytest.mark.haproxy
def test_the_local_haproxy_takes_every_scenario(binary_engine: Engine) -> None:
    check = binary_engine.check(render_topology(all_in_one(), binary_engine.version()))
    assert check.ok, check.reason
    assert check.warnings == ()


@pytest.mark.haproxy
@pytest.mark.docker
def test_every_haproxy_of_this_machine_takes_every_scenario(docker_engine: Engine) -> None:
    engines = [choice.engine for choice in choose_all(["matrix"], missing=lambda _: None)]
    assert engines
    for engine in engines:
        check = engine.check(render_topology(all_in_one(), engine.version()))
        assert check.ok, f"{engine.describe()}: {check.reason}"
        assert check.warnings == (), engine.describe()


def test_names_are_unique() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_accounts_for_its_mail(scenario: Scenario) -> None:
    """Those that carry mail want it intact and from the right client; the others expect each session to fail."""
    kinds = {type(expectation) for expectation in scenario.expects}
    carries = kinds >= {Intact, RightClients}
    assert carries or kinds & {CutShort, Faults}
    assert (Offered in kinds) is scenario.loaded


@pytest.mark.parametrize(
    "make",
    [
        lambda: Script(-1.0, Action.KILL, 0),
        lambda: Script(1.0, Action.KILL),
        lambda: Script(1.0, Action.RELOAD, 0),
        lambda: Pool(count=0),
        lambda: Pool(count=2, weights=(1,)),
        lambda: Clients(rate=0.0),
        lambda: Clients(attempts=0),
        lambda: Scenario(name="A b", title="", seconds=1.0, expects=(Intact(),)),
        lambda: Scenario(name="a", title="", seconds=1.0, expects=(Intact(),), script=(Script(1.0, Action.KILL, 3),)),
        lambda: Scenario(
            name="a",
            title="",
            seconds=1.0,
            expects=(Intact(),),
            script=(Script(2.0, Action.KILL, 0), Script(1.0, Action.START, 0)),
        ),
    ],
)
def test_nonsense_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"."):
        make()

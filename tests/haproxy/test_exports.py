from __future__ import annotations

import importlib
import pkgutil

import pytest

import proxyspec_haproxy
from proxyspec_haproxy import HAProxyError

MODULES = [info.name for info in pkgutil.walk_packages(proxyspec_haproxy.__path__, "proxyspec_haproxy.")]


@pytest.mark.parametrize("name", ["proxyspec_haproxy", *MODULES])
def test_every_module_says_what_it_is_for_and_what_is_public(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    public = getattr(module, "__all__", [])
    if not name.endswith(".leash"):  # a script
        assert public
    assert [each for each in public if not hasattr(module, each)] == []


def test_everything_raised_on_purpose_has_one_root() -> None:
    exported = [getattr(proxyspec_haproxy, name) for name in proxyspec_haproxy.__all__]
    errors = [each for each in exported if isinstance(each, type) and issubclass(each, Exception)]
    assert len(errors) == 10
    assert all(issubclass(each, HAProxyError) for each in errors)

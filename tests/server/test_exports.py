"""The public names exist and are all there is."""

import importlib

import pytest


@pytest.mark.parametrize("name", ["proxyspec_server", "proxyspec_server.proxy"])
def test_all_names_what_is_imported(name: str) -> None:
    package = importlib.import_module(name)
    assert list(package.__all__) == sorted(package.__all__, key=lambda public: (not public.isupper(), public))
    assert all(hasattr(package, public) for public in package.__all__)
    assert package.__doc__

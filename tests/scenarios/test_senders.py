"""The sender table as data: nothing HAProxy can be told is left out, and every row can be told apart."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from proxyspec.sender.expectation import Expectation, Role
from proxyspec.sender.setting import Checking, FrontKind, Setting, settings_of
from proxyspec_scenarios.senders import SENDER_SETTINGS

OPTIONS = {"ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key", "authority", "crc32c", "unique-id"}
PLAIN = Setting(id="x", title="x", server="send-proxy", expects=Expectation(version=1))


def words() -> set[str]:
    return {word for setting in SENDER_SETTINGS for word in setting.server.split()}


def test_every_directive_is_tried() -> None:
    assert {"send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn", "check-send-proxy"} <= words()
    assert any(word.startswith("set-proxy-v2-tlv-fmt(") for word in words())


def test_every_option_is_tried_alone_and_all_of_them_together() -> None:
    lists = [
        frozenset(found[1].split(","))
        for setting in SENDER_SETTINGS
        if (found := re.search(r"proxy-v2-options (\S+)", setting.server))
    ]
    assert {next(iter(one)) for one in lists if len(one) == 1} == OPTIONS
    assert frozenset(OPTIONS) in lists


def test_every_kind_of_client_comes() -> None:
    assert {setting.front for setting in SENDER_SETTINGS} == set(FrontKind)
    tls = [setting.caller.tls for setting in SENDER_SETTINGS if setting.caller.tls is not None]
    assert any(one.certificate for one in tls)
    assert any(one.alpn for one in tls)
    assert any(one.server_name for one in tls)
    assert sum("accept-proxy" in setting.bind for setting in SENDER_SETTINGS) >= 12
    assert {setting.check for setting in SENDER_SETTINGS} == {None, *Checking}
    assert any(setting.never_send_local for setting in SENDER_SETTINGS)


def test_ids_fit_the_names_of_haproxy() -> None:
    assert len({setting.id for setting in SENDER_SETTINGS}) == len(SENDER_SETTINGS)
    assert all(len(setting.id) <= 64 for setting in SENDER_SETTINGS)


def test_rows_explain_themselves() -> None:
    for setting in SENDER_SETTINGS:
        assert setting.title[0].isupper()
        assert not setting.title.endswith(".")
        assert setting.directives[-1] == f"server … {setting.server}"
        assert setting.visitor
        assert all(one.why for one in setting.expects.concessions)


def test_what_differs_by_version() -> None:
    (setting,) = (one for one in SENDER_SETTINGS if one.id == "none/options-only")
    assert setting.expected_of((3, 1)).concessions
    assert not setting.expected_of((3, 2)).concessions


def test_a_table_refuses_two_rows_of_one_name() -> None:
    with pytest.raises(ValueError, match="two settings are called x"):
        settings_of((PLAIN,), (PLAIN,))


@pytest.mark.parametrize("name", ["", "V1", "v1/", "a b", "a//b"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="lower case words"):
        replace(PLAIN, id=name)


def test_a_check_expects_the_header_of_a_check() -> None:
    with pytest.raises(ValueError, match="a check"):
        replace(PLAIN, check=Checking.SMTP)
    with pytest.raises(ValueError, match="a check"):
        replace(PLAIN, expects=Expectation(version=1, role=Role.CHECK))

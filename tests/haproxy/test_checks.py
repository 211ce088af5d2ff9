from __future__ import annotations

from proxyspec_haproxy.checks import alerts_in, parse_config_check

SERIES_2_2 = """\
[NOTICE] 325/154000 (7) : haproxy version is 2.2.9-2+deb11u7
[ALERT] 325/154000 (7) : parsing [/usr/local/etc/haproxy/haproxy.cfg:20] : 'bind' : invalid port '300110'.
[ALERT] 325/154000 (7) : Error(s) found in configuration file : /usr/local/etc/haproxy/haproxy.cfg
[ALERT] 325/154000 (7) : Fatal errors found in configuration.
"""
SERIES_2_6 = """\
[WARNING]  (99) : config : parsing [c:3] : 'user' ignored
[ALERT]    (99) : config : parsing [c:17] : unknown keyword 'send-proxi'; did you mean 'send-proxy' maybe ?
[ALERT]    (99) : config : Fatal errors found in configuration.
"""


def test_takes_prefix_and_summaries_off_in_both_layouts() -> None:
    old = parse_config_check(1, SERIES_2_2)
    assert old.alerts == ("parsing [/usr/local/etc/haproxy/haproxy.cfg:20] : 'bind' : invalid port '300110'.",)
    new = parse_config_check(1, SERIES_2_6)
    assert new.alerts == ("parsing [c:17] : unknown keyword 'send-proxi'; did you mean 'send-proxy' maybe ?",)
    assert new.warnings == ("parsing [c:3] : 'user' ignored",)
    assert not new.ok
    assert new.reason == new.alerts[0]


def test_only_the_exit_status_says_whether_it_passed() -> None:
    assert parse_config_check(0, SERIES_2_6).ok
    assert not parse_config_check(1, "Configuration file is valid\n").ok


def test_a_refusal_without_alerts_still_has_a_reason() -> None:
    assert parse_config_check(1, "Segmentation fault\n").reason == "Segmentation fault"
    assert parse_config_check(1, "").reason == "haproxy -c failed without a word"
    assert alerts_in("[ALERT]    (1) : config : Fatal errors found in configuration.") == (
        "Fatal errors found in configuration.",
    )


def test_alerts_of_one_process() -> None:
    text = "[ALERT]    (12) : backend 'mx' has no server available!\n[ALERT]    (1) : config : parsing [c:1] : no\n"
    assert alerts_in(text, pid=1) == ("parsing [c:1] : no",)
    assert len(alerts_in(text)) == 2


def test_control_characters_in_an_alert_become_visible() -> None:
    assert alerts_in("[ALERT]    (1) : config : \x1b[2Jgone") == (r"\x1b[2Jgone",)

"""Locust as `proxyspec load` starts it: its own program, and our words where a locustfile is no profile.

Importing this module patches the interpreter.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from locust import User, events
from locust.main import main

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.plugin import Reporter, declared, refuse

__all__ = ["lack"]


def _derived(kind: type[Any]) -> Iterator[type[Any]]:
    for each in kind.__subclasses__():
        yield each
        yield from _derived(each)


def lack() -> str | None:
    """Say what the locustfile that was loaded lacks to be a profile, and the remedy; None: nothing."""
    if not declared():
        return "declares no profile: call declare(Profile(...)) in it, both from proxyspec.load.plugin"
    users = [user for user in _derived(ProxySmtpUser) if not user.abstract]
    if not users:
        return "has no users: add a class derived from ProxySmtpUser of proxyspec.load.client, with a @task"
    for user in users:
        if not user.tasks and user.run is User.run:
            return f"gives its user {user.__name__} no task: add a method with @task that calls self.client.session()"
    return None


def _look(**_: Any) -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--locustfile")
    parser.add_argument("--report-fd", type=int)
    chosen, _others = parser.parse_known_args()
    if (what := lack()) is not None:
        refuse(Reporter(chosen.report_fd), f"the locustfile {chosen.locustfile} {what}")


if __name__ == "__main__":
    # Fired when the locustfile is loaded, and before an option is read.
    events.init_command_line_parser.add_listener(_look)
    main()

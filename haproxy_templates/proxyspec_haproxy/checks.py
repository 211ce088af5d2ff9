"""What `haproxy -c` said about a configuration, without the decoration of each release."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxyspec_haproxy.logs import visible

__all__ = ["ConfigCheck", "alerts_in", "parse_config_check"]

# "[ALERT] 325/154000 (123) : parsing ..." up to 2.3, "[ALERT]    (123) : config : parsing ..." since
_LINE: Final = re.compile(
    r"\[(?P<level>ALERT|WARNING)\]\s*(?:\d+/\d+\s*)?\((?P<pid>\d+)\)\s*:\s*(?:config : )?(?P<text>.*)"
)
# Follow every error and say nothing more about it.
_SUMMARIES: Final = ("Fatal errors found in configuration", "Error(s) found in configuration file")


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """Outcome of `haproxy -c`: `ok` comes from the exit status alone, because the texts differ between releases."""

    ok: bool
    alerts: tuple[str, ...]
    warnings: tuple[str, ...]
    output: str

    @property
    def reason(self) -> str:
        """Why it was refused: HAProxy's [ALERT] lines, or all it said when there are none."""
        return "\n".join(self.alerts) or self.output.strip() or "haproxy -c failed without a word"


def _messages(text: str, level: str, pid: int | None = None) -> tuple[str, ...]:
    lines = [line for line in map(_LINE.match, text.splitlines()) if line is not None and line["level"] == level]
    return tuple(visible(line["text"].strip()) for line in lines if pid is None or line["pid"] == str(pid))


def alerts_in(text: str, *, pid: int | None = None) -> tuple[str, ...]:
    """Return the [ALERT] messages of any HAProxy output, without prefix and without the closing summaries.

    `pid` picks one process: a worker also alerts when a backend has no server left, no fault of a configuration.
    """
    alerts = _messages(text, "ALERT", pid)
    return tuple(alert for alert in alerts if not alert.startswith(_SUMMARIES)) or alerts


def parse_config_check(exit_status: int, output: str) -> ConfigCheck:
    """Turn exit status and combined output of `haproxy -c` into a ConfigCheck."""
    return ConfigCheck(exit_status == 0, alerts_in(output), _messages(output, "WARNING"), output)

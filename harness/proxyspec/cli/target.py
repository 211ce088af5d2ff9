"""The target of a command line: what the options say, or a profile with what the options say otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from proxyspec.errors import UsageError
from proxyspec.model import Target

__all__ = ["declared_target", "versions_of"]


def versions_of(text: str, option: str = "--versions") -> frozenset[int]:
    """Read `1`, `2` or `1,2`, as `option` names them.

    Raises:
        UsageError: it is something else.
    """
    chosen = {"1": {1}, "2": {2}, "1,2": {1, 2}, "2,1": {1, 2}}.get(text.replace(" ", ""))
    if chosen is None:
        raise UsageError(f"{option} {text!r}: write 1, 2 or 1,2 (the header versions the server reads)")
    return frozenset(chosen)


def declared_target(
    target: str,
    *,
    header_timeout: float = 30.0,
    trusted: str | None = None,
    untrusted: str | None = None,
    versions: str = "1,2",
    oracle: str = "auto",
    oracle_file: str | None = None,
    oracle_pattern: str | None = None,
    recipient: str | None = None,
    capabilities: str = "",
    tls_port: int | None = None,
    pid: int | None = None,
    crash_log: str | None = None,
    crash_pattern: str | None = None,
    allow: Sequence[str] | None = None,
) -> Target:
    """Return the target that `target`, a URL or the path of a profile, and the options describe.

    An option that has its default leaves the profile's word standing.

    Raises:
        UsageError: one of them is wrong, or the oracle is unknown.
    """
    from proxyspec.oracle import ORACLES
    from proxyspec.targets import load_target, make_target

    spoken = versions_of(versions)
    if target.endswith(".toml"):
        said: dict[str, object] = {
            "header_timeout": header_timeout if header_timeout != 30 else None,
            "trusted": trusted,
            "untrusted": untrusted,
            "versions": sorted(spoken) if versions != "1,2" else None,
            "oracle": oracle if oracle != "auto" else None,
            "oracle_file": oracle_file and str(Path(oracle_file).absolute()),
            "oracle_pattern": oracle_pattern,
            "recipient": recipient,
            "capabilities": capabilities.split(",") if capabilities else None,
            "tls_port": tls_port,
            "pid": pid,
            "crash_log": crash_log and str(Path(crash_log).absolute()),
            "crash_pattern": crash_pattern,
            "allow": list(allow) if allow else None,
        }
        made = load_target(target, {key: value for key, value in said.items() if value is not None})
    else:
        made = make_target(
            target,
            allowed=allow or (),
            header_timeout=header_timeout,
            trusted_source=trusted,
            untrusted_source=untrusted,
            versions=spoken,
            oracle=oracle,
            oracle_file=oracle_file,
            oracle_pattern=oracle_pattern,
            recipient=recipient,
            capabilities=capabilities.split(","),
            tls_port=tls_port,
            pid=pid,
            crash_log=crash_log,
            crash_pattern=crash_pattern,
        )
    if made.oracle not in ("auto", *ORACLES):
        raise UsageError(f"the oracle {made.oracle!r} is unknown: one of auto, {', '.join(ORACLES)}")
    return made

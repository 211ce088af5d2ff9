"""Exit codes of several runs."""

from __future__ import annotations

import pytest

from proxyspec.errors import ExitCode, joint_exit_code


@pytest.mark.parametrize(
    ("codes", "joint"),
    [
        ([], ExitCode.NOTHING),
        ([ExitCode.OK, ExitCode.OK], ExitCode.OK),
        ([ExitCode.OK, ExitCode.FAILED], ExitCode.FAILED),
        ([ExitCode.FAILED, ExitCode.UNJUDGEABLE], ExitCode.UNJUDGEABLE),
        ([ExitCode.UNJUDGEABLE, ExitCode.HARNESS], ExitCode.HARNESS),
        ([ExitCode.HARNESS, ExitCode.INTERRUPTED], ExitCode.INTERRUPTED),
        ([ExitCode.NOTHING, ExitCode.OK], ExitCode.OK),
        ([ExitCode.NOTHING, ExitCode.NOTHING], ExitCode.NOTHING),
    ],
)
def test_the_gravest_run_gives_the_exit_code(codes: list[ExitCode], joint: ExitCode) -> None:
    assert joint_exit_code(codes) is joint
    assert joint_exit_code(codes[::-1]) is joint

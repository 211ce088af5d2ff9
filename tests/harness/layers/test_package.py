"""The package as a whole: what it exports, what importing it costs, and its campaign under Scapy's own runner."""

import re
import subprocess
import sys
from pathlib import Path

from proxyspec import layers


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, cwd=cwd, check=False
    )


def test_all_names_exist_and_are_sorted() -> None:
    assert len(layers.__all__) == len(set(layers.__all__))
    assert all(hasattr(layers, name) for name in layers.__all__)


def test_import_is_light_and_silent(tmp_path: Path) -> None:
    program = (
        "import sys, proxyspec.layers, proxyspec.layers.authoring, proxyspec.layers.decode\n"
        "heavy = [name for name in sys.modules if name.startswith(('scapy.all', 'scapy.layers', 'scapy.arch'))]\n"
        "assert not heavy, heavy\n"
    )
    result = run("-W", "error", "-c", program, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_import_is_silent_without_ipv6(tmp_path: Path) -> None:
    program = "import socket; socket.has_ipv6 = False; import proxyspec.layers"
    result = run("-W", "error", "-c", program, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_scapy_campaign_passes(tmp_path: Path) -> None:
    campaign = Path(__file__).with_name("proxy.uts")
    result = run("-m", "scapy.tools.UTscapy", "-f", "text", "-t", str(campaign), cwd=tmp_path)
    totals = re.search(r"PASSED=(\d+) FAILED=(\d+)", result.stdout + result.stderr)
    assert totals, result.stderr
    expected = len(re.findall(r"^= ", campaign.read_text(), re.MULTILINE))
    assert (int(totals[1]), int(totals[2]), result.returncode) == (expected, 0, 0), result.stdout + result.stderr
    assert expected > 0

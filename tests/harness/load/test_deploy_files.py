"""The files for Docker and Kubernetes: what they start are commands that exist, with options that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCS = Path(__file__).parents[3] / "docs"

#: `${NAME:-default}` and `${NAME:?complaint}`.
_VARIABLE = re.compile(r"\$\{[A-Z]+:[-?](?P<value>[^}]*)\}")


def _commands(file: str) -> Iterator[list[str]]:
    for document in yaml.safe_load_all((DOCS / file).read_text()):
        found: list[Any] = list(document.get("services", {}).values())
        found += document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
        for container in found:
            yield [
                _VARIABLE.sub(lambda match: match["value"], word)
                for word in container.get("command") or container["args"]
            ]


@pytest.mark.parametrize("file", ["compose.yaml", "kubernetes.yaml"])
def test_master_and_workers_agree(file: str) -> None:
    import typer

    from proxyspec.cli.load import load

    app = typer.Typer()
    app.command()(load)
    command = typer.main.get_command(app)
    parsed = []
    for name, *words in _commands(file):
        assert name == "load"
        context = command.make_context("load", words)
        parsed.append(context.params)
    master, worker = parsed
    assert (master["master"], master["worker"], worker["master"], worker["worker"]) == (True, False, False, True)
    assert master["profile"] == worker["profile"]
    assert master["expect_workers"] == 4
    assert master["allow_target"]
    host, _, port = master["master_bind"].partition(":")
    assert (host, port) == ("0.0.0.0", "5557")
    assert worker["target"] is None
    assert worker["master_host"] in ("master", "proxyspec-master")


def test_the_names_within_kubernetes_are_the_same() -> None:
    documents = {
        (each["kind"], each["metadata"]["name"]): each
        for each in yaml.safe_load_all((DOCS / "kubernetes.yaml").read_text())
    }
    service = documents["Service", "proxyspec-master"]["spec"]
    labels = documents["Job", "proxyspec-master"]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    policy = documents["NetworkPolicy", "proxyspec-master"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    workers = documents["Job", "proxyspec-worker"]["spec"]
    assert workers["completions"] == workers["parallelism"] == 4
    (rule,) = policy["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"].items() <= workers["template"]["metadata"]["labels"].items()

"""The catalogue for other languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from proxyspec.casebook import Chapter, catalogue_of
from proxyspec.model import ACCEPTED, Case, Pause, Send, StartTls
from proxyspec.vectors import vector_schema, vectors_of
from proxyspec_scenarios import catalogue

CATALOGUE = catalogue()


@pytest.fixture(scope="module")
def vectors() -> dict[str, dict[str, Any]]:
    return {vector["id"]: vector for vector in json.loads(vectors_of(CATALOGUE))["vectors"]}


def test_the_file_obeys_the_published_schema() -> None:
    published = Path("docs/vectors.schema.json").read_text()
    assert published == vector_schema(), "docs/vectors.schema.json is not `proxyspec export vectors --schema`"
    schema = json.loads(published)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(vectors_of(CATALOGUE)), schema)


def test_every_case_is_there_with_its_bytes_and_gaps(vectors: dict[str, dict[str, Any]]) -> None:
    assert list(vectors) == [case.id for case in CATALOGUE.cases]
    for case in CATALOGUE.cases:
        steps = vectors[case.id]["steps"]
        assert len(steps) == len(case.steps)
        own = b"".join(bytes.fromhex(step.get("hex", step.get("glued", ""))) for step in steps)
        assert own == case.header
        pauses = [(step["seconds"], step["deadlines"]) for step in steps if step["do"] == "pause"]
        assert pauses == [(step.seconds, step.timeouts) for step in case.steps if isinstance(step, Pause)]
    assert any(isinstance(step, StartTls | Send) for case in CATALOGUE.cases for step in case.steps)


def test_a_control_is_in_the_file_and_can_be_accepted(vectors: dict[str, dict[str, Any]]) -> None:
    controls = {vector["control"] for vector in vectors.values()} - {None}
    assert controls
    for control in controls:
        assert {expected["outcome"] for expected in vectors[control]["expected"]} & {str(kind) for kind in ACCEPTED}


def test_one_vector_in_full() -> None:
    chapter = Chapter("v1", section="2.1", versions=[1])
    case: Case = chapter.accepts("ok", (Send(b"PROX"), Pause(0.5, 0.25), Send(b"Y")), "It is accepted")
    (vector,) = json.loads(vectors_of(catalogue_of([chapter])))["vectors"]
    assert vector["steps"] == [
        {"do": "send", "hex": "50524f58"},
        {"do": "pause", "seconds": 0.5, "deadlines": 0.25},
        {"do": "send", "hex": "59"},
    ]
    assert vector["expected"] == [{"outcome": "accepted-proxied", "address": "192.0.2.1", "code_class": None}]
    assert (vector["id"], vector["level"], vector["section"], vector["versions"]) == (case.id, "MUST", "2.1", [1])


def test_the_same_catalogue_gives_the_same_text() -> None:
    assert vectors_of(CATALOGUE) == vectors_of(CATALOGUE)

"""The run records: what `run.json` holds, as pydantic models that are also its published schema."""

from proxyspec.records.base import (
    SCHEMA_VERSION,
    Environment,
    HAProxyRecord,
    JudgedRecord,
    Record,
    RunBase,
    ScenarioRun,
    TargetRecord,
    TargetRun,
)
from proxyspec.records.conformance import (
    BaselineRecord,
    CaseRecord,
    ConformanceRun,
    EventRecord,
    OutcomeRecord,
    RuleRecord,
)
from proxyspec.records.load import LoadError, LoadPoint, LoadRun, LoadStep, Threshold
from proxyspec.records.mutants import CaseTally, MutantRecord, MutantsRun
from proxyspec.records.reading import InvalidRun, Run, load_run, run_schema

__all__ = [
    "SCHEMA_VERSION",
    "BaselineRecord",
    "CaseRecord",
    "CaseTally",
    "ConformanceRun",
    "Environment",
    "EventRecord",
    "HAProxyRecord",
    "InvalidRun",
    "JudgedRecord",
    "LoadError",
    "LoadPoint",
    "LoadRun",
    "LoadStep",
    "MutantRecord",
    "MutantsRun",
    "OutcomeRecord",
    "Record",
    "RuleRecord",
    "Run",
    "RunBase",
    "ScenarioRun",
    "TargetRecord",
    "TargetRun",
    "Threshold",
    "load_run",
    "run_schema",
]

"""Compiled machines in an interpreter that shares no code with moto: aws-local-stepfunctions.

It also validates each definition with asl-validator before running it.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.compiler import compile_flow, read_definition

HERE = Path(__file__).parent
FLOWS = HERE.parents[1] / "golden" / "compiler" / "input"

FAILED = {"error": "StepFailed", "message": "broken"}
PARTIAL = {"error": "StepPartialSuccess", "message": "2 of 3"}
TRANSIENT = {"error": "StepTransient", "message": "again"}
THROTTLED = {"error": "StepThrottled", "message": "2026-01-01T00:00:00Z"}
AGAIN = {"retry": True, "waitSeconds": 300, "attempt": 2}


@dataclass(frozen=True, slots=True)
class Case:
    """A golden flow, what its steps do on their first tries, and what is expected of the run."""

    flow: str
    outcomes: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    decisions: Sequence[Mapping[str, Any]] = ()
    status: str = "SUCCEEDED"
    tries: Mapping[str, int] = field(default_factory=dict)


CASES = {
    "chain": Case("chain", tries={"read": 1, "map": 1, "write": 1}),
    "fan-out": Case("fan_out", tries={"read": 1, "left": 1, "middle": 1, "right": 1}),
    "diamond": Case("diamond", tries={"join": 1}),
    "N": Case("n", tries={"a": 1, "b": 1, "c": 1, "d": 1}),
    "ladder": Case("ladder", tries={"l3": 1, "r3": 1}),
    "stencil": Case("stencil", tries={"c1": 1, "c2": 1, "c3": 1}),
    "skipped": Case("skipped", tries={"read1": 1, "read2": 1, "clean": 0, "load": 1, "report": 0}),
    "transient": Case("diamond", {"left": [TRANSIENT] * 3}, tries={"left": 4, "join": 1}),
    "transient for too long": Case("chain", {"map": [TRANSIENT] * 4}, (), "FAILED", {"write": 0}),
    "throttled": Case("n", {"a": [THROTTLED] * 2}, tries={"a": 3, "c": 1, "d": 1}),
    "failure stops": Case("chain", {"read": [FAILED]}, (), "FAILED", {"read": 1, "map": 0}),
    "failure continues": Case(
        "exceptions",
        {"continue_stop": [FAILED], "continue_continue": [FAILED], "after2": [FAILED]},
        tries={"after1": 1, "after2": 1},
    ),
    "partial success stops": Case(
        "exceptions", {"continue_stop": [PARTIAL]}, (), "FAILED", {"after1": 0}
    ),
    "another attempt": Case("flow_retry", {"only": [FAILED]}, [AGAIN], tries={"only": 2}),
    "no other attempt": Case("flow_retry", {"only": [FAILED]}, [{}], "FAILED", {"only": 1}),
    "names": Case("names", tries={"a": 1, "b": 1, "c": 1}),
    "synchronous": Case("synchronous", tries={"ask": 1, "other": 1}),
}


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """What the interpreter made of each case, all in one process."""
    assert (HERE / "node_modules").is_dir(), f"run `make test`, or `npm ci` in {HERE}"
    cases = []
    for case in CASES.values():
        definition, _ = read_definition(yaml.safe_load((FLOWS / f"{case.flow}.yaml").read_text()))
        assert definition is not None
        machine = json.loads(compile_flow(definition).asl)
        cases.append(
            {"definition": machine, "outcomes": case.outcomes, "decisions": case.decisions}
        )
    done = subprocess.run(
        ["node", "run.mjs"],  # noqa: S607  whichever Node is on the path
        cwd=HERE,
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_second_interpreter_agrees(results: dict[str, Any], name: str) -> None:
    """The run ends as expected, each step was tried as often as expected, the end was recorded."""
    case, result = CASES[name], results[name]
    # A synchronous machine asks for the steps of a chain together.
    steps = [step for call in result["calls"] for step in call.get("stepIds", [call.get("stepId")])]
    events = [call["event"] for call in result["calls"] if "event" in call]
    assert result["status"] == case.status
    assert {step: steps.count(step) for step in case.tries} == case.tries
    assert events[-1] == ("attemptSucceeded" if case.status == "SUCCEEDED" else "attemptFailed")

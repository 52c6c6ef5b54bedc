"""Each flow in compiler/input faces what it compiles to, or why it does not, in compiler/output.

After a deliberate change: `UPDATE_GOLDEN=1 pytest tests/golden/test_compiler_golden.py`, then read
the difference. CI never sets the variable.
"""

import json
import os
from pathlib import Path

import pytest
import yaml

from millrace.compiler import CompileError, compile_flow, read_definition

HERE = Path(__file__).parent / "compiler"
INPUTS = sorted((HERE / "input").glob("*.yaml"))


def _outcome(source: Path) -> str:
    """The machine, indented for reading, or the findings one a line."""
    document = yaml.safe_load(source.read_text())
    definition, findings = read_definition(document)
    if definition is not None:
        try:
            compiled = compile_flow(definition, durations=document.get("durations"))
        except CompileError as error:
            findings = list(error.findings)
        else:
            return json.dumps(json.loads(compiled.asl), indent=2, ensure_ascii=False) + "\n"
    return "".join(f"{finding}\n" for finding in findings)


def _expected(source: Path) -> Path:
    suffix = ".txt" if source.stem.startswith("error_") else ".json"
    return HERE / "output" / (source.stem + suffix)


@pytest.mark.parametrize("source", INPUTS, ids=lambda path: path.stem)
def test_flow_compiles_to_its_golden_output(source: Path) -> None:
    """A flow gives exactly the machine or the findings that were agreed on."""
    outcome, expected = _outcome(source), _expected(source)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        expected.write_text(outcome)
    assert outcome == expected.read_text()


def test_every_output_has_an_input() -> None:
    """No golden file outlives its input."""
    assert {_expected(source) for source in INPUTS} == set((HERE / "output").iterdir())

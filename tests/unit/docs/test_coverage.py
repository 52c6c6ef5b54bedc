"""docs/coverage.md stays true: its tests exist, and it names all that flows and lists have.

So do the tests that docs/security.md names.
"""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from pydantic.alias_generators import to_camel

from millrace.domain.flow import FlowInput
from millrace.domain.step import Step
from millrace.http.queries import FlowsQuery

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/coverage.md").read_text()


@cache
def functions(path: Path) -> set[str]:
    """The tests of a file."""
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("page", "at_least"), [("coverage", 80), ("security", 70)])
def test_every_test_that_is_named_exists(page: str, at_least: int) -> None:
    """A test that was renamed or removed shows nothing any more."""
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / f"docs/{page}.md").read_text())
    assert len(named) > at_least
    missing = {(file, test) for file, test in named if test not in functions(ROOT / "tests" / file)}
    assert not missing


SECURITY: Final = (ROOT / "docs/security.md").read_text()
AREAS: Final = {
    "Workspaces, tokens and routes",
    "Secrets",
    "Inbound requests",
    "Hostile imports",
    "Egress",
    "Roles of functions",
    "Encryption",
    "Supply",
    "Time",
}


def test_the_security_page_has_its_sections() -> None:
    """One for each way in."""
    assert set(re.findall(r"^## (.+)$", SECURITY, re.MULTILINE)) == AREAS


@pytest.mark.parametrize("area", sorted(AREAS))
def test_each_section_of_the_security_page_has_a_threat_and_proven_promises(area: str) -> None:
    """And each promise in its table names a test."""
    text = SECURITY.partition(f"\n## {area}\n")[2].partition("\n## ")[0]
    assert "**Threat.**" in text
    assert "**Promise.**" in text
    tables = re.findall(r"^\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert rows
    assert [row for row in rows if not re.search(r"`[\w/]+\.py::test_\w+`", row)] == []


def test_every_row_names_a_test() -> None:
    """Or says that it is shown as all fields are."""
    tables = PAGE.partition("## Not there")[0]
    rows = [row for row in tables.splitlines() if re.match(r"\| (?!of|line)[^-]", row)]
    assert [row for row in rows if "::test_" not in row and "| as all |" not in row] == []


def test_every_field_and_filter_is_named() -> None:
    """What is new has a row, or a reason why none of the four has it."""
    fields = {*FlowInput.model_fields, *Step.model_fields} - {"steps"}
    names = {*map(to_camel, fields), *FlowsQuery.names()}
    missing = {name for name in names if f"`{name}`" not in PAGE}
    assert not missing

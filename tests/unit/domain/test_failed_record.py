"""What kind of trouble the code of a record error stands for."""

import ast
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

import millrace
from millrace.domain import records
from millrace.domain.failed_record import Classification, classify
from millrace.usecases.lookups import OF_THE_RECORD

PACKAGE = Path(millrace.__file__).parent
CODE_AT = {"RecordError": 0, "AwsRefused": 0, "RecordFailure": 1, "fail": 1, "_told": 1}
"""The position of the code in the calls by which a record fails."""


def codes_in(module: ast.Module) -> Iterator[str]:
    """The codes that a module has words for and lets records fail with."""
    assigned = {
        target.id: node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        if name in CODE_AT and not given:
            given = node.args[CODE_AT[name] : CODE_AT[name] + 1]
        for code in given if name in {*CODE_AT, "Result"} else ():
            yield from texts(assigned.get(ast.unparse(code), code))


def texts(code: ast.expr) -> Iterator[str]:
    """What an expression is for sure: a text, either of two, or one of ours that has a name."""
    match code:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from texts(body)
            yield from texts(other)
        case ast.Name(id=name) if isinstance(known := getattr(records, name, None), str):
            yield known


def of_records() -> set[str]:
    """All codes by which connectors and steps let records fail."""
    found = set(OF_THE_RECORD)
    for folder in ("connectors", "usecases"):
        for path in (PACKAGE / folder).rglob("*.py"):
            found.update(codes_in(ast.parse(path.read_text())))
    return found


def test_what_a_record_fails_with_is_found_in_the_code() -> None:
    """In each of the ways of writing it: else the next test would find nothing wrong."""
    words = "parse tooLarge columnMissing expressionTimeout expressionFailed recordsMissing"
    words += " resultsMissing resultMissing refused invalid"
    assert of_records() >= set(words.split())


@pytest.mark.parametrize("code", sorted(of_records()))
def test_each_code_of_ours_has_a_classification(code: str) -> None:
    """`none` is for the codes of other systems: a filter for a class finds all of ours."""
    assert classify(code) is not Classification.NONE


@pytest.mark.parametrize(
    "status", [status for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST]
)
def test_each_status_of_a_refusal_has_a_classification(status: HTTPStatus) -> None:
    """Systems refuse in many ways; what is not told apart is a value that they do not take."""
    assert classify(f"http{status}") is not Classification.NONE


@pytest.mark.parametrize(
    ("code", "classification"),
    [
        ("recordsMissing", "parse"),
        ("http414", "tooLarge"),
        ("http418", "value"),
        ("http503", "intermittent"),
        ("E_STOCK", "none"),
    ],
)
def test_codes_stand_for_kinds_of_trouble(code: str, classification: str) -> None:
    """An answer of another shape cannot be read; what others call their errors we cannot know."""
    assert classify(code) == classification

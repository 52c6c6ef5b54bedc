"""What does not go together in a model is told at the field that is wrong, with what to do."""

import ast
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import millrace
from millrace.domain.action import ActionInput
from millrace.domain.base import Json
from millrace.domain.connection import ConnectionInput
from millrace.domain.errors import Violation
from millrace.domain.pointers import json_pointer
from millrace.domain.shape import violation_of
from millrace.usecases.import_request import ImportRequest
from millrace.usecases.record_errors import ErrorSelection
from millrace.usecases.retry_errors import ErrorRetryRequest

MODULES = sorted(Path(millrace.__file__).parent.rglob("*.py"))
EXPORT = {"type": "Export", "connectionId": "con_1", "http": {"path": "/orders"}}


def wrong(model: type[BaseModel], given: Json) -> Violation:
    """The one thing that is wrong with a document."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given)
    (error,) = caught.value.errors(include_url=False)
    return violation_of(error, json_pointer(error["loc"], given))


def work(**changes: Json) -> Json:
    """An action whose export is changed by these."""
    return {"name": "Read", "work": {**EXPORT, **changes}}


def http(**changes: Json) -> Json:
    """An action whose request is changed by these."""
    return work(http={"path": "/orders", **changes})


@pytest.mark.parametrize(
    ("model", "given", "code", "pointer", "remedy"),
    [
        (ErrorRetryRequest, {}, "missingField", "/errorIds", "Send errorIds, the ids of errors;"),
        (
            ErrorSelection,
            {"errorIds": ["err_1"], "filter": {}},
            "contradiction",
            "/filter",
            "Send one of them.",
        ),
        (ImportRequest, {}, "missingField", "/flow", "Send flow, with its dependencies, or"),
        (ActionInput, work(http=None), "missingField", "/work/http", "Add http, s3 or payload."),
        (ActionInput, work(connectionId=None), "missingField", "/work/connectionId", "Add"),
        (ActionInput, work(payload={}), "contradiction", "/work/payload", "Send one of them."),
        (ActionInput, http(body={}), "contradiction", "/work/http/method", "Set it to POST, or"),
        (
            ActionInput,
            http(format="csv", csv={"header": False}),
            "missingField",
            "/work/http/csv/columns",
            "Add columns, or set header to true.",
        ),
        (
            ActionInput,
            http(method="POST", pagination={"type": "page", "sendIn": "body"}),
            "notAPointer",
            "/work/http/pagination/pageParameter",
            "Write a JSON Pointer such as /page.",
        ),
        (
            ConnectionInput,
            {"name": "Shop", "baseUrl": "https://shop.example", "rateLimit": {}},
            "missingField",
            "/rateLimit/requestsPerSecond",
            "Add one of them.",
        ),
    ],
)
def test_fields_that_do_not_go_together_are_told_with_place_and_remedy(
    model: type[BaseModel], given: Json, code: str, pointer: str, remedy: str
) -> None:
    """Not as the fault of the whole that they stand in."""
    found = wrong(model, given)
    assert (found.code, found.pointer) == (code, pointer)
    assert found.remedy is not None
    assert found.remedy.startswith(remedy)


def is_validator(function: ast.FunctionDef) -> bool:
    """Whether a function looks at a model as a whole."""
    return any("model_validator" in ast.unparse(each) for each in function.decorator_list)


def raised_in(module: Path) -> list[str]:
    """The validators of models in a module that raise what nobody can be told a remedy for."""
    functions = (
        node
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef) and is_validator(node)
    )
    return [each.name for each in functions if "raise ValueError" in ast.unparse(each)]


def test_no_model_blames_itself_as_a_whole() -> None:
    """A ValueError would be told as `valueError` at the model, with the remedy to correct it."""
    found: dict[str, Any] = {each.name: names for each in MODULES if (names := raised_in(each))}
    assert found == {}

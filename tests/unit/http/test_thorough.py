"""A request that is wrong in several ways is told all of them at once."""

from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from tests.support.samples import ALICE
from tests.support.world import World

from millrace.domain.errors import Violation
from millrace.domain.flow import FlowInput
from millrace.http.problems import shape_violations
from millrace.http.thorough import broken_rules
from millrace.usecases.apply_document import ApplyDocument
from millrace.usecases.import_request import ImportRequest

MAP = {"type": "Process", "operations": [{"type": "map", "expression": "{}"}]}


def shape_of(model: type[BaseModel], body: Any) -> list[Violation]:  # noqa: ANN401 - any JSON
    """What the shape of a body lacks, as the API would report it."""
    with pytest.raises(ValidationError) as raised:
        model.model_validate(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in raised.value.errors()]
    return shape_violations(errors, body)


def places(violations: Iterable[Violation]) -> set[tuple[str, str]]:
    """What is wrong where."""
    return {(violation.code, violation.pointer) for violation in violations}


def test_an_unknown_field_does_not_hide_broken_rules() -> None:
    """With the field taken away the flow is whole, and its references and graph are checked."""
    body = {
        "name": "Orders",
        "colour": "red",
        "steps": [
            {"id": "a", "type": "Process", "dependsOn": ["b"], "action": {**MAP, "colour": "red"}},
            {"id": "b", "type": "Process", "dependsOn": ["a"], "action": MAP},
            {
                "id": "c",
                "type": "Export",
                "action": {"type": "Export", "connectionId": "con_x", "http": {"path": "/"}},
            },
        ],
    }
    shape = shape_of(FlowInput, body)
    assert places(shape) == {
        ("unknownField", "/colour"),
        ("unknownField", "/steps/0/action/colour"),
    }
    assert places(broken_rules(World().context, ALICE, "/v1/flows", body, shape)) == {
        ("cycle", "/steps/0/dependsOn/0"),
        ("unknownConnection", "/steps/2/action/connectionId"),
    }


def test_a_missing_field_does_not_hide_what_is_wrong_with_the_graph() -> None:
    """The graph of a flow without a name is checked as far as it can be read."""
    body = {"steps": [{"id": "a", "type": "Process", "dependsOn": ["a", "x"], "action": MAP}]}
    shape = shape_of(FlowInput, body)
    assert places(shape) == {("missingField", "/name")}
    assert places(broken_rules(World().context, ALICE, "/v1/flows/flow_1", body, shape)) == {
        ("selfDependency", "/steps/0/dependsOn/0"),
        ("unknownDependency", "/steps/0/dependsOn/1"),
    }


def test_a_file_is_checked_flow_by_flow() -> None:
    """Pointers lead into the file; nothing is reported twice."""
    step = {"id": "a", "type": "Proces", "dependsOn": ["x"], "action": MAP}
    body = {"flows": [{"stableKey": "f", "name": "F", "steps": [step]}]}
    shape = shape_of(ApplyDocument, body)
    assert {violation.pointer for violation in shape} == {"/flows/0/steps/0/type"}
    assert places(broken_rules(World().context, ALICE, "/v1/apply", body, shape)) == {
        ("unknownDependency", "/flows/0/steps/0/dependsOn/0")
    }


def test_an_import_is_told_all_at_once() -> None:
    """Of the document and of what overrides it, whatever is wrong with their shapes."""
    export = {"type": "Export", "connectionId": "shop", "http": {"path": "/"}}
    steps = [
        {"id": "a", "type": "Export", "dependsOn": ["x"], "action": export, "colour": "red"},
        {"id": "b", "type": "Import", "referrer": "nowhere"},
    ]
    shop = {"name": "Shop", "baseUrl": "https://shop.example", "colour": "red"}
    body = {
        "metadata": {"integrationId": "int_x", "colour": "red"},
        "flow": {"name": "Orders", "labels": ["no-label"], "steps": steps},
        "dependencies": {"connections": {"shop": shop}},
    }
    shape = shape_of(ImportRequest, body)
    assert places(shape) == {
        ("unknownField", "/metadata/colour"),
        ("unknownField", "/flow/steps/0/colour"),
        ("unknownField", "/dependencies/connections/shop/colour"),
    }
    assert places(broken_rules(World().context, ALICE, "/v1/flows/import", body, shape)) == {
        ("unknownDependency", "/flow/steps/0/dependsOn/0"),
        ("unknownIntegration", "/metadata/integrationId"),
        ("unknownLabel", "/flow/labels/0"),
        ("unknownAction", "/flow/steps/1/referrer"),
    }


def test_the_graph_of_an_import_that_is_no_whole_is_checked() -> None:
    """As far as it can be read."""
    body = {"flow": {"steps": [{"id": "a", "type": "Process", "dependsOn": ["x"], "action": MAP}]}}
    shape = shape_of(ImportRequest, body)
    assert places(shape) == {("missingField", "/flow/name")}
    assert places(broken_rules(World().context, ALICE, "/v1/flows/import", body, shape)) == {
        ("unknownDependency", "/flow/steps/0/dependsOn/0")
    }


def test_other_resources_have_no_further_rules() -> None:
    """A connection of the wrong shape is reported as it is."""
    assert broken_rules(World().context, ALICE, "/v1/connections", {"name": 1}, []) == []

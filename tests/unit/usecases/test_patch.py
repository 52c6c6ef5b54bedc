"""A JSON Patch changes what it names and nothing else, or nothing at all."""

from typing import Any

import pytest
from tests.support.samples import ALICE, process_step, unstamped
from tests.support.world import World

from millrace.domain.base import Json
from millrace.domain.errors import (
    ConflictError,
    PreconditionRequiredError,
    RevisionMismatchError,
    RuleViolationError,
)
from millrace.domain.flow import Flow
from millrace.domain.patch import Patch
from millrace.usecases.audit import list_audit
from millrace.usecases.flows import get_flow, get_version, latest_version
from millrace.usecases.patch import patch_flow

READ = process_step("read")


def patched(world: World, flow: Flow, *operations: dict[str, Json]) -> Flow:
    """The flow after a patch over its present revision."""
    revision = get_flow(world.context, ALICE, flow.id).revision
    operations_read = Patch.model_validate([*operations]).root
    after, steps = patch_flow(world.context, ALICE, flow.id, operations_read, revision)
    assert steps == latest_version(world.context, after).steps
    return after


def put(path: str, value: Json) -> dict[str, Json]:
    """The vendor form: `replace` and nothing else."""
    return {"op": "replace", "path": path, "value": value}


@pytest.mark.parametrize(
    ("operations", "field", "value"),
    [
        ([put("/name", "Invoices")], "name", "Invoices"),
        ([put("/description", "of today")], "description", "of today"),
        ([{"op": "add", "path": "/schedule", "value": "rate(1 hour)"}], "schedule", "rate(1 hour)"),
        ([{"op": "remove", "path": "/retryMaxAttempts"}], "retry_max_attempts", 0),
        ([{"op": "copy", "from": "/name", "path": "/description"}], "description", "Orders"),
        ([put("/disabled", value=True)], "is_enabled", False),
        ([put("/enabled", value=False)], "is_enabled", False),
        ([put("/name", "a"), put("/name", "b")], "name", "b"),
        ([put("/name", "a") | {"comment": "ignored"}], "name", "a"),
        (
            [{"op": "test", "path": "/steps/0/id", "value": "read"}, put("/name", "a")],
            "name",
            "a",
        ),
        ([{"op": "test", "path": "/disabled", "value": False}, put("/name", "a")], "name", "a"),
    ],
)
def test_an_operation_changes_its_field(
    world: World, operations: list[dict[str, Json]], field: str, value: object
) -> None:
    """Each kind of operation, fields without a value included; the steps stay."""
    flow = world.flow(READ, retryMaxAttempts=2)
    after = patched(world, flow, *operations)
    assert getattr(after, field) == value
    assert after.latest_version_id == flow.latest_version_id
    assert get_flow(world.context, ALICE, flow.id) == after


def test_a_steps_name_goes_to_the_draft(world: World) -> None:
    """Of a deployed flow a new draft begins; what is deployed stays as it is."""
    flow = world.deployed(READ)
    after = patched(world, flow, put("/steps/0/name", "Read all"))
    assert after.latest_version_number == 2
    assert latest_version(world.context, after).steps[0].name == "Read all"
    live = get_version(world.context, ALICE, flow.id, str(after.deployed_version_id))
    assert unstamped(live.steps) == (READ,)


@pytest.mark.parametrize(
    ("operations", "places"),
    [
        ([put("/id", "x")], {("notPatchable", "/0/path")}),
        ([put("", {})], {("notPatchable", "/0/path")}),
        ([put("/steps", [])], {("notPatchable", "/0/path")}),
        ([put("/steps/*/name", "x")], {("notPatchable", "/0/path")}),
        ([put("/steps/0/id", "x")], {("notPatchable", "/0/path")}),
        (
            [put("/name", "x"), put("/revision", 9), {"op": "remove", "path": "/steps/0"}],
            {("notPatchable", "/1/path"), ("notPatchable", "/2/path")},
        ),
        (
            [{"op": "copy", "from": "/steps", "path": "/description"}],
            {("notPatchable", "/0/from")},
        ),
        ([put("/steps/7/name", "x")], {("noSuchPlace", "/0/path")}),
        ([{"op": "remove", "path": "/name"}], {("missingField", "/0/path")}),
        (
            [put("/name", ""), put("/timezone", "Mars/Olympus")],
            {("stringTooShort", "/0/value"), ("valueError", "/1/value")},
        ),
        ([put("/trigger", {"kind": "moon"})], {("enum", "/0/value/kind")}),
        ([put("/trigger/kind", "schedule")], {("scheduleMissing", "")}),
        ([put("/steps/0/isSkipped", "x")], {("wrongType", "/0/value")}),
    ],
)
def test_a_fault_names_its_operation(
    world: World, operations: list[dict[str, Json]], places: set[tuple[str, str]]
) -> None:
    """All faults at once, with pointers into the patch; nothing is changed."""
    flow = world.flow(READ)
    with pytest.raises(RuleViolationError) as raised:
        patched(world, flow, *operations)
    assert {(fault.code, fault.pointer) for fault in raised.value.violations} == places
    assert get_flow(world.context, ALICE, flow.id) == flow


@pytest.mark.parametrize(
    "test",
    [
        {"op": "test", "path": "/name", "value": "Invoices"},
        {"op": "test", "path": "/nothing", "value": None},
        {"op": "test", "path": "/retryMaxAttempts", "value": "0"},
    ],
)
def test_a_test_that_fails_undoes_the_rest(world: World, test: dict[str, Any]) -> None:
    """What came before it is not stored either."""
    flow = world.flow(READ)
    with pytest.raises(ConflictError) as raised:
        patched(world, flow, put("/description", "x"), test)
    assert [fault.pointer for fault in raised.value.violations] == ["/1/value"]
    assert get_flow(world.context, ALICE, flow.id) == flow


def test_a_patch_needs_the_revision_that_was_read(world: World) -> None:
    """As every change does."""
    flow = world.flow(READ)
    patch = Patch.model_validate([put("/name", "x")]).root
    with pytest.raises(PreconditionRequiredError):
        patch_flow(world.context, ALICE, flow.id, patch, None)
    with pytest.raises(RevisionMismatchError):
        patch_flow(world.context, ALICE, flow.id, patch, 7)


def test_a_patch_is_in_the_trail_unless_it_changed_nothing(world: World) -> None:
    """One entry, with the fields that differ."""
    flow = world.flow(READ)
    patched(world, flow, put("/name", flow.name))
    patched(world, flow, put("/name", "Invoices"))
    entry, _ = list_audit(world.context, ALICE, flow.id, 10, None).items
    assert (entry.event, entry.changes[0].after) == ("patched", {"name": "Invoices"})

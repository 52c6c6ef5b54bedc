"""Changing single fields of a flow by JSON Patch, all or nothing."""

from collections.abc import Iterator, Sequence
from typing import Final

import jsonpatch
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from millrace.domain.base import Json, rfc3339
from millrace.domain.errors import ConflictError, RuleViolationError, Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings, Step, Version
from millrace.domain.patch import PatchOperation, TransferOperation, ValueOperation
from millrace.domain.shape import json_pointer, violation_of
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.flows import get_flow, latest_version, store_changed
from millrace.usecases.resources import check_revision, fields_of, refuse

PATCHABLE: Final = (
    *(f"/{to_camel(name)}" for name in FlowInput.model_fields if name != "steps"),
    "/trigger/kind",
    "/trigger/settings",
    "/logging/debugUntil",
    "/steps/*/name",
    "/steps/*/isSkipped",
    "/steps/*/schedule",
    "/steps/*/skipRetries",
    "/steps/*/proceedOnFailure",
    "/steps/*/position",
)
"""What a patch may change, `*` being a step's place; the rest needs a whole new flow by PUT."""

_ENABLING: Final = {"enabled", "disabled", "enabledAt"}


def patch_flow(
    context: Context,
    caller: Caller,
    flow_id: str,
    patch: Sequence[PatchOperation],
    revision: int | None,
) -> tuple[Flow, tuple[Step, ...]]:
    """Apply a patch to a flow and its draft; gives the flow and the steps as they are now.

    Operations may `test` any field that a PUT may set. Raises ConflictError if a test fails, and
    RuleViolationError with pointers into the patch for everything else that is wrong with it.
    """
    before = get_flow(context, caller, flow_id)
    check_revision(before, revision)
    refuse(_unpatchable(patch))
    latest = latest_version(context, before)
    given = _patched(before, latest, patch)

    def told_of(violation: Violation) -> Violation:
        return _at_operation(patch, violation)

    return store_changed(context, caller, before, latest, given, "patched", told_of)


def _patched(flow: Flow, latest: Version, patch: Sequence[PatchOperation]) -> FlowInput:
    document = FlowInput(
        **fields_of(flow, FlowSettings), enabled=flow.is_enabled, steps=latest.steps
    ).model_dump(mode="json", by_alias=True)
    enabled_at = None if flow.enabled_at is None else rfc3339(flow.enabled_at)
    document |= {"disabled": not flow.is_enabled, "enabledAt": enabled_at}
    for number, operation in enumerate(patch):
        document = _applied(document, number, operation)
    try:
        return FlowInput.model_validate(document)
    except ValidationError as error:
        refuse(
            _at_operation(patch, violation_of(found, json_pointer(found["loc"], document)))
            for found in error.errors()
        )
        raise


def _applied(document: Json, number: int, operation: PatchOperation) -> Json:
    try:
        told = operation.model_dump(by_alias=True)
        document = jsonpatch.JsonPatch([told]).apply(document, in_place=True)
    except jsonpatch.JsonPatchTestFailed as error:
        raise ConflictError(
            f"the test of operation {number} failed, so nothing was changed",
            [Violation("testFailed", f"/{number}/value", "Another value is there.")],
        ) from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        place = "from" if isinstance(operation, TransferOperation) else "path"
        raise RuleViolationError(
            "an operation cannot be applied; see errors",
            [Violation("noSuchPlace", f"/{number}/{place}", str(error), "Correct the pointer.")],
        ) from error
    return document if operation.op == "test" else _one_truth(document, operation.path)


def _one_truth(document: Json, path: str) -> Json:
    """Bring the names of whether a flow is enabled in step with the one that was changed.

    Beside a value of a wrong type, of which its field will complain, the others are left out.
    """
    name = path.removeprefix("/")
    match name:
        case "enabled" | "disabled":
            value = document.get(name, name == "enabled")
            enabled = value is (name == "enabled")
        case "enabledAt":
            value = enabled = document.get(name) is not None
        case _:
            return document
    rest = {key: document[key] for key in document if key not in _ENABLING}
    if not isinstance(value, bool):
        return rest | {name: value}
    at = document.get("enabledAt")
    known = {"enabledAt": at if enabled else None} if at is not None or not enabled else {}
    return rest | {"enabled": enabled, "disabled": not enabled} | known


def _unpatchable(patch: Sequence[PatchOperation]) -> Iterator[Violation]:
    for number, operation in enumerate(patch):
        places = {"path": operation.path}
        if isinstance(operation, TransferOperation):
            places["from"] = operation.from_
        if operation.op == "test":
            continue
        for name, pointer in places.items():
            if not _is_patchable(pointer):
                yield Violation(
                    "notPatchable",
                    f"/{number}/{name}",
                    f"{pointer!r} cannot be patched.",
                    f"Send the whole flow by PUT, or patch one of {', '.join(PATCHABLE)}.",
                )


def _is_patchable(pointer: str) -> bool:
    match pointer.split("/"):
        case ["", "steps", place, *rest] if place.isdecimal():
            return "/".join(["", "steps", "*", *rest]) in PATCHABLE
        case _:
            return pointer in PATCHABLE and "*" not in pointer


def _at_operation(patch: Sequence[PatchOperation], violation: Violation) -> Violation:
    """The same fault, pointing to the operation that brought the value in."""
    for number, operation in reversed([*enumerate(patch)]):
        path = operation.path
        if operation.op != "test" and f"{violation.pointer}/".startswith(f"{path}/"):
            place = "value" if isinstance(operation, ValueOperation) else "path"
            rest = violation.pointer.removeprefix(path) if place == "value" else ""
            where = f"/{number}/{place}{rest}"
            return Violation(violation.code, where, violation.message, violation.remedy)
    return Violation(violation.code, "", violation.message, violation.remedy)

"""Changing single fields of a flow by JSON Patch, all or nothing."""

from collections.abc import Iterator, Sequence
from typing import Final

from pydantic.alias_generators import to_camel

from millrace.domain.base import Json, rfc3339
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings, Version
from millrace.domain.patch import PatchOperation
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.flow_changes import store_changed
from millrace.usecases.flows import get_flow, latest_version
from millrace.usecases.json_patch import Patched, patched, places_of, reads_of
from millrace.usecases.resources import check_revision, fields_of, refuse
from millrace.usecases.write_only import write_only_places

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
    refuse([*_unpatchable(patch), *reads_of(patch, [*write_only_places(FlowInput)])])
    latest = latest_version(context, before)
    made = _patched(before, latest, patch)
    return store_changed(context, caller, before, latest, made.given, "patched", made.blame)


def _patched(flow: Flow, latest: Version, patch: Sequence[PatchOperation]) -> Patched[FlowInput]:
    document = FlowInput(
        **fields_of(flow, FlowSettings), enabled=flow.is_enabled, steps=latest.steps
    ).model_dump(mode="json", by_alias=True)
    enabled_at = None if flow.enabled_at is None else rfc3339(flow.enabled_at)
    document |= {"disabled": not flow.is_enabled, "enabledAt": enabled_at}
    return patched(FlowInput, document, patch, _one_truth)


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
        for name, pointer in places_of(operation).items():
            if operation.op != "test" and not _is_patchable(pointer):
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

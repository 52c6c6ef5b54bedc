"""What all editable resources share: stamping, reading for a change, and the checks of both."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from millrace.domain.base import Model
from millrace.domain.errors import (
    PreconditionRequiredError,
    RevisionMismatchError,
    RuleViolationError,
    Violation,
)
from millrace.domain.resource import Resource, Revised
from millrace.domain.token import Caller
from millrace.usecases.context import Context


def born(context: Context, caller: Caller, kind: type[Resource]) -> dict[str, Any]:
    """The bookkeeping of a new resource."""
    now = context.clock()
    return {
        "id": context.new_id(kind.prefix),
        "workspace_id": caller.workspace_id,
        "revision": 1,
        "created_at": now,
        "created_by": caller.token_id,
        "modified_at": now,
        "modified_by": caller.token_id,
    }


def changed(context: Context, caller: Caller, before: Resource) -> dict[str, Any]:
    """The bookkeeping of a changed resource."""
    return {
        "id": before.id,
        "workspace_id": before.workspace_id,
        "revision": before.revision + 1,
        "created_at": before.created_at,
        "created_by": before.created_by,
        "modified_at": context.clock(),
        "modified_by": caller.token_id,
    }


def fields_of(model: Model, kind: type[Model]) -> dict[str, Any]:
    """The values of those fields of a model that `kind` has too, unconverted."""
    return {name: getattr(model, name) for name in _shared_fields(type(model), kind)}


@cache
def _shared_fields(one: type[Model], other: type[Model]) -> tuple[str, ...]:
    return tuple(name for name in one.model_fields if name in other.model_fields)


def check_revision(resource: Revised, expected: int | None) -> None:
    """Raise unless the caller named, by If-Match, the revision that is there."""
    if expected is None:
        raise PreconditionRequiredError(
            "send If-Match with the ETag that you read, so that nobody's change is lost"
        )
    if resource.revision != expected:
        raise RevisionMismatchError(
            f"{type(resource).__name__.lower()} {resource.id!r} is at revision "
            f"{resource.revision}, not {expected}; read it again"
        )


def refuse(violations: Iterable[Violation]) -> None:
    """Raise RuleViolationError if there are any, all of them at once."""
    found = tuple(violations)
    if found:
        count = "one rule is" if len(found) == 1 else f"{len(found)} rules are"
        raise RuleViolationError(f"{count} broken; see errors", found)

"""Who made and who changed each step of a flow, and what its action says of it."""

from collections.abc import Iterable
from typing import Any

from millrace.domain.action import Action
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.finders import Lookup


def stamped(
    context: Context,
    caller: Caller,
    steps: Iterable[Step],
    before: Iterable[Step],
    find_action: Lookup[Action],
) -> tuple[Step, ...]:
    """The steps with their stamps: an unchanged one keeps its own, whatever was sent."""
    old = {step.id: step for step in before}
    now: dict[str, Any] = {"modified_by": caller.token_id, "modified_date": context.clock()}
    made = []
    for step in steps:
        was = old.get(step.id)
        like_before = step.model_copy(update=_carried(step, find_action) | _stamps_of(was))
        if was is None:
            born = {"created_by": now["modified_by"], "created_date": now["modified_date"]}
            made.append(like_before.model_copy(update=born | now))
        else:
            made.append(was if like_before == was else like_before.model_copy(update=now))
    return tuple(made)


def _stamps_of(step: Step | None) -> dict[str, Any]:
    names = ("created_by", "created_date", "modified_by", "modified_date")
    return {name: None if step is None else getattr(step, name) for name in names}


def _carried(step: Step, find_action: Lookup[Action]) -> dict[str, Any]:
    """The ids that the settings of the step's action name; without, the step's own stay."""
    action = None if step.referrer is None else find_action(step.referrer)
    settings = {} if action is None else action.settings
    names = {"model_id": "modelId", "workspace_id": "workspaceId"}
    return {
        name: settings[key] for name, key in names.items() if isinstance(settings.get(key), str)
    }

"""The part of the Amazon States Language that machines use: paths, templates, tests, handlers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

type Json = Any
# Errors that no Retry or Catch on States.ALL handles.
_BEYOND_ALL = {"States.Runtime", "States.DataLimitExceeded"}


def handler_of(handlers: Sequence[Mapping[str, Any]], error: str) -> Mapping[str, Any] | None:
    """The first retrier or catcher that is for an error."""
    for handler in handlers:
        names = handler["ErrorEquals"]
        if error in names or ("States.ALL" in names and error not in _BEYOND_ALL):
            return handler
    return None


def chosen(spec: Mapping[str, Any], state: Json) -> str:
    """Where a Choice leads."""
    for rule in spec["Choices"]:
        if all(_holds(test, state) for test in rule["And"]):
            return str(rule["Next"])
    return str(spec["Default"])


def get(state: Json, path: str) -> Json:
    """What stands at a path."""
    for key in path.split(".")[1:]:
        state = state[key]
    return state


def put(state: Json, path: str | None, value: Json) -> Json:
    """The state with a value at a path; None drops the value."""
    if path is None:
        return state
    return {**state, path.removeprefix("$."): value}


def fill(template: Mapping[str, Any], state: Json) -> dict[str, Any]:
    """A template with what its paths lead to."""
    filled: dict[str, Any] = {}
    for key, value in template.items():
        if not key.endswith(".$"):
            filled[key] = fill(value, state) if isinstance(value, Mapping) else value
        elif value.startswith("States.StringToJson("):
            inner = value.removeprefix("States.StringToJson(").removesuffix(")")
            filled[key[:-2]] = json.loads(get(state, inner))
        elif value == "$$.Task.Token":
            filled[key[:-2]] = "token"
        else:
            filled[key[:-2]] = get(state, value)
    return filled


def _holds(test: Mapping[str, Any], state: Json) -> bool:
    try:
        value = get(state, test["Variable"])
    except KeyError:
        return test.get("IsPresent") is False
    return "IsPresent" in test or value is test["BooleanEquals"]

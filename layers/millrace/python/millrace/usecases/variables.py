"""Variables: values of the type they say they are; secret ones go to the secret store."""

import json
from collections.abc import Iterator
from typing import Final

from millrace.domain.errors import Violation
from millrace.domain.variable import Variable, VariableInput
from millrace.usecases.crud import Crud


def _check(
    _context: object, _caller: object, given: VariableInput, before: Variable | None
) -> Iterator[Violation]:
    is_kept = before is not None and _keeps_value(before, given)
    if given.value is None and not is_kept:
        yield Violation("valueMissing", "/value", "The variable has no value.", "Give it one.")
    elif given.value is not None and not given.has_value_of_type:
        # The value itself may be a secret, so the message does not show it.
        yield Violation(
            "valueType",
            "/value",
            f"The value is not of type {given.type}.",
            "Correct the value, or the type.",
        )


def _take_value(given: VariableInput) -> tuple[VariableInput, dict[str, str]]:
    if not given.secret or given.value is None:
        return given, {}
    return given.model_copy(update={"value": None}), {"value": json.dumps(given.value)}


def _keeps_value(before: Variable, given: VariableInput) -> bool:
    return before.secret and given.secret and before.type == given.type


def _hides(before: Variable) -> tuple[str, ...]:
    return ("/value",) if before.secret else ()


VARIABLES: Final = Crud(
    Variable,
    VariableInput,
    check=_check,
    take=_take_value,
    keeps_secrets=_keeps_value,
    hides=_hides,
)

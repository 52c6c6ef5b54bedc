"""Checks the rules of a Choice state, which nest."""

import re
from collections.abc import Iterator

from millrace.compiler.asl_fields import Complaint, path, timestamp, under

_COMPARISON = re.compile(
    r"(?:(Boolean)Equals"
    r"|(String|Numeric|Timestamp)(?:Equals|LessThan|GreaterThan|LessThanEquals|GreaterThanEquals))"
    r"(Path)?"
)
_TYPE_TESTS = {"IsPresent", "IsNull", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp"}


def choice_rule(rule: object, *, top: bool = True) -> Iterator[Complaint]:
    """A choice rule: And, Or, Not of rules, or one comparison of one variable."""
    if not isinstance(rule, dict):
        yield "", "wrongType", "A choice rule must be an object.", "Write an object."
        return
    if not top and "Next" in rule:
        yield "/Next", "unknownField", "Only the outermost rule has a Next.", "Remove it."
    if top and not isinstance(rule.get("Next"), str):
        yield "/Next", "missing", "The choice rule has no Next.", "Say where to go."
    operators = [key for key in rule if key not in {"Next", "Comment", "Variable"}]
    if len(operators) != 1:
        yield (
            "",
            "badChoiceRule",
            f"A choice rule has one comparison, not {len(operators)}.",
            "Join several with And.",
        )
        return
    (operator,) = operators
    if operator in {"And", "Or", "Not"}:
        if "Variable" in rule:
            yield "/Variable", "unknownField", f"{operator} takes no Variable.", "Remove it."
        yield from under(operator, _nested(operator, rule[operator]))
    else:
        yield from under("Variable", path(rule.get("Variable")))
        yield from under(operator, _operand(operator, rule[operator]))


def _nested(operator: str, operand: object) -> Iterator[Complaint]:
    if operator == "Not":
        yield from choice_rule(operand, top=False)
    elif not isinstance(operand, list) or not operand:
        yield "", "wrongType", f"{operator} needs a list of rules.", "Add a rule."
    else:
        for position, inner in enumerate(operand):
            yield from under(position, choice_rule(inner, top=False))


def _operand(operator: str, operand: object) -> Iterator[Complaint]:
    wanted = _operand_type(operator)
    if wanted is None:
        yield "", "badChoiceRule", f"{operator} is no comparison.", "Use one that exists."
    elif wanted == "path":
        yield from path(operand)
    elif wanted == "timestamp":
        yield from timestamp(operand)
    elif not _is_a(wanted, operand):
        yield "", "wrongType", f"{operator} compares with a {wanted}.", f"Write a {wanted}."


def _operand_type(operator: str) -> str | None:
    if operator in _TYPE_TESTS:
        return "boolean"
    if operator == "StringMatches":
        return "string"
    match = _COMPARISON.fullmatch(operator)
    if match is None:
        return None
    return "path" if match[3] else (match[1] or match[2]).lower()


def _is_a(kind: str, operand: object) -> bool:
    if kind == "boolean":
        return isinstance(operand, bool)
    if kind == "string":
        return isinstance(operand, str)
    return isinstance(operand, int | float) and not isinstance(operand, bool)

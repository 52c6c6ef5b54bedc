"""Checks single fields of Amazon States Language, for the validator to hang on a state's pointer.

Each checker takes a value and yields (sub-pointer, code, message, remedy). Rules and ranges: the
Amazon States Language specification (states-language.net) and the Step Functions developer guide.
"""

import re
from collections.abc import Callable, Iterator, Mapping

type Complaint = tuple[str, str, str, str]

_PATH = re.compile(r"\$\$?(?:\.[\w-]+|\.\.[\w-]+|\[(?:'[^']*'|\"[^\"]*\"|[^\[\]]+)\]|\.\*)*")
_REFERENCE_PATH = re.compile(r"\$(?:\.[\w-]+|\[(?:'[^']*'|\"[^\"]*\"|\d+)\])*")
_INTRINSIC = re.compile(r"(States\.\w+)\(.*\)", re.DOTALL)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_INTRINSICS = {
    f"States.{name}"
    for name in (
        "Array ArrayContains ArrayGetItem ArrayLength ArrayPartition ArrayRange ArrayUnique"
        " Base64Decode Base64Encode Format Hash JsonMerge JsonToString MathAdd MathRandom"
        " StringSplit StringToJson UUID"
    ).split()
}
_STATES_ERRORS = {
    f"States.{name}"
    for name in (
        "ALL BranchFailed DataLimitExceeded ExceedToleratedFailureThreshold HeartbeatTimeout Http"
        " IntrinsicFailure ItemReaderFailed NoChoiceMatched ParameterPathFailure Permissions"
        " QueryEvaluationError ResultPathMatchFailure ResultWriterFailed Runtime TaskFailed Timeout"
    ).split()
}
# Step Functions never retries these, whatever a Retrier says.
_NEVER_RETRIED = {"States.Runtime", "States.DataLimitExceeded"}

_BIG = 99_999_999
_MAX_DELAY = 31_622_400


def whole_number(low: int, high: int = _BIG) -> Callable[[object], Iterator[Complaint]]:
    """A checker for a JSON integer within bounds."""

    def check(value: object) -> Iterator[Complaint]:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            yield (
                "",
                "out_of_range",
                f"{value!r:.40} is not a whole number from {low} to {high}.",
                "Use a number in this range.",
            )

    return check


def text(value: object) -> Iterator[Complaint]:
    """Any text but the empty one."""
    if not isinstance(value, str) or not value:
        yield "", "wrong_type", "This must be text and not empty.", "Write some text."


def any_text(value: object) -> Iterator[Complaint]:
    """Any text."""
    if not isinstance(value, str):
        yield "", "wrong_type", "This must be text.", "Write text."


def path(value: object) -> Iterator[Complaint]:
    """A JSONPath into the state or the context object."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        yield "", "bad_path", f"{value!r:.60} is not a JSONPath.", "Start it with $."


def optional_path(value: object) -> Iterator[Complaint]:
    """A JSONPath, or null for nothing at all."""
    if value is not None:
        yield from path(value)


def result_path(value: object) -> Iterator[Complaint]:
    """A reference path, which names exactly one place, or null."""
    if value is not None and not (isinstance(value, str) and _REFERENCE_PATH.fullmatch(value)):
        yield (
            "",
            "bad_path",
            f"{value!r:.60} is not a reference path.",
            "Use null, or $ followed by plain names and indices.",
        )


def error_path(value: object) -> Iterator[Complaint]:
    """A path or an intrinsic function that gives text."""
    if not (isinstance(value, str) and value.startswith("States.")):
        yield from path(value)
        return
    yield from _intrinsic(value)


def timestamp(value: object) -> Iterator[Complaint]:
    """An RFC 3339 instant with its zone."""
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        yield (
            "",
            "bad_timestamp",
            f"{value!r:.40} is not an RFC 3339 time.",
            "Write it like 2026-01-31T09:00:00Z.",
        )


def template(value: object) -> Iterator[Complaint]:
    """A payload template: in an object, each key that ends in .$ holds a path or an intrinsic."""
    if isinstance(value, list):
        for position, item in enumerate(value):
            for sub, code, message, remedy in template(item):
                yield f"/{position}{sub}", code, message, remedy
    if not isinstance(value, Mapping):
        return
    for key, item in value.items():
        here = "/" + escape(str(key))
        if str(key).endswith(".$"):
            if str(key)[:-2] in value:
                yield (
                    here,
                    "duplicate_key",
                    f"{key} is there with and without .$.",
                    "Keep one of the two.",
                )
            found = _dynamic(item)
        else:
            found = template(item)
        for sub, code, message, remedy in found:
            yield here + sub, code, message, remedy


def _dynamic(value: object) -> Iterator[Complaint]:
    if isinstance(value, str) and value.startswith("States."):
        yield from _intrinsic(value)
    else:
        yield from path(value)


def _intrinsic(value: str) -> Iterator[Complaint]:
    match = _INTRINSIC.fullmatch(value)
    if match is None or value.count("(") != value.count(")"):
        yield "", "bad_intrinsic", f"{value!r:.60} is not a function call.", "Close its brackets."
    elif match[1] not in _INTRINSICS:
        yield "", "bad_intrinsic", f"{match[1]} is no intrinsic function.", "Use one that exists."


def retriers(value: object) -> Iterator[Complaint]:
    """A list of Retriers: names in order, numbers in range."""
    if not isinstance(value, list) or not value:
        yield "", "wrong_type", "Retry must be a list of retriers.", "Leave it out, or add one."
        return
    yield from _errors(value, _NEVER_RETRIED)
    for position, item in enumerate(value):
        if isinstance(item, Mapping):
            for sub, code, message, remedy in _retrier(item):
                yield f"/{position}{sub}", code, message, remedy


def _retrier(item: Mapping[str, object]) -> Iterator[Complaint]:
    checks = {
        "ErrorEquals": lambda _: iter(()),
        "Comment": any_text,
        "IntervalSeconds": whole_number(1),
        "MaxAttempts": whole_number(0),
        "MaxDelaySeconds": whole_number(1, _MAX_DELAY),
        "BackoffRate": _backoff_rate,
        "JitterStrategy": _jitter,
    }
    yield from fields(item, checks)
    interval, longest = item.get("IntervalSeconds", 1), item.get("MaxDelaySeconds")
    if isinstance(interval, int) and isinstance(longest, int) and longest <= interval:
        yield (
            "/MaxDelaySeconds",
            "max_delay_too_short",
            f"MaxDelaySeconds {longest} is not greater than IntervalSeconds {interval}.",
            "Raise the one or lower the other.",
        )


def _backoff_rate(value: object) -> Iterator[Complaint]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 1 <= value < float("inf"):  # type: ignore[operator]  # a number by then
        yield "", "out_of_range", "BackoffRate must be a number from 1.", "Use 1 or more."


def _jitter(value: object) -> Iterator[Complaint]:
    if value not in {"FULL", "NONE"}:
        yield "", "unknown_value", f"{value!r:.40} is no jitter strategy.", "Use FULL or NONE."


def catchers(value: object) -> Iterator[Complaint]:
    """A list of Catchers; their targets are the validator's business."""
    if not isinstance(value, list) or not value:
        yield "", "wrong_type", "Catch must be a list of catchers.", "Leave it out, or add one."
        return
    yield from _errors(value, {"States.Runtime"})
    checks = {
        "ErrorEquals": lambda _: iter(()),
        "Comment": any_text,
        "ResultPath": result_path,
        "Next": text,
    }
    for position, item in enumerate(value):
        if isinstance(item, Mapping):
            for sub, code, message, remedy in fields(item, checks, required={"Next"}):
                yield f"/{position}{sub}", code, message, remedy


def _errors(handlers: list[object], without_effect: set[str]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for position, item in enumerate(handlers):
        if not isinstance(item, Mapping):
            yield f"/{position}", "wrong_type", "This must be an object.", "Write an object."
            continue
        here = f"/{position}/ErrorEquals"
        names = item.get("ErrorEquals")
        if (
            not isinstance(names, list)
            or not names
            or not all(isinstance(name, str) and name for name in names)
        ):
            yield here, "wrong_type", "ErrorEquals must be a list of names.", "Name an error."
            continue
        if "States.ALL" in names and (len(names) > 1 or position < len(handlers) - 1):
            yield (
                here,
                "states_all_not_last",
                "States.ALL must stand alone and in the last entry.",
                "Move it into an entry of its own at the end.",
            )
        for name in names:
            if name.startswith("States.") and name not in _STATES_ERRORS:
                yield here, "unknown_error", f"{name} is no error of Step Functions.", "Correct it."
            if name in without_effect:
                yield here, "without_effect", f"{name} is never handled.", "Remove it."
            if name in seen:
                yield here, "shadowed_error", f"{name} is handled earlier.", "Remove it here."
            seen.add(name)


def fields(
    item: Mapping[str, object],
    checks: Mapping[str, Callable[[object], Iterator[Complaint]]],
    required: set[str] | frozenset[str] = frozenset(),
) -> Iterator[Complaint]:
    """Apply a checker to each field; unknown and missing fields are complaints."""
    for key in sorted(required - item.keys()):
        yield f"/{key}", "missing", f"{key} is missing.", "Add it."
    for key, value in item.items():
        here = "/" + escape(str(key))
        if key not in checks:
            yield here, "unknown_field", f"{key!r:.60} has no meaning here.", "Remove it."
            continue
        for sub, code, message, remedy in checks[key](value):
            yield here + sub, code, message, remedy


def choice_rule(rule: object, *, top: bool = True) -> Iterator[Complaint]:
    """A choice rule: And, Or, Not of rules, or one comparison of one variable."""
    if not isinstance(rule, Mapping):
        yield "", "wrong_type", "A choice rule must be an object.", "Write an object."
        return
    if not top and "Next" in rule:
        yield "/Next", "unknown_field", "Only the outermost rule has a Next.", "Remove it."
    if top and not isinstance(rule.get("Next"), str):
        yield "/Next", "missing", "The choice rule has no Next.", "Say where to go."
    operators = [key for key in rule if key not in {"Next", "Comment", "Variable"}]
    if len(operators) != 1:
        yield (
            "",
            "bad_choice_rule",
            f"A choice rule has one comparison, not {len(operators)}.",
            "Join several with And.",
        )
        return
    operator = str(operators[0])
    operand = rule[operators[0]]
    here = "/" + escape(operator)
    if operator in {"And", "Or"}:
        if not isinstance(operand, list) or not operand:
            yield here, "wrong_type", f"{operator} needs a list of rules.", "Add a rule."
            return
        nested = [(f"{here}/{position}", inner) for position, inner in enumerate(operand)]
    elif operator == "Not":
        nested = [(here, operand)]
    else:
        yield from _comparison(rule, operator, operand)
        return
    if "Variable" in rule:
        yield "/Variable", "unknown_field", f"{operator} takes no Variable.", "Remove it."
    for place, inner in nested:
        for sub, code, message, remedy in choice_rule(inner, top=False):
            yield place + sub, code, message, remedy


def _comparison(rule: Mapping[str, object], operator: str, operand: object) -> Iterator[Complaint]:
    here = "/" + escape(operator)
    for sub, code, message, remedy in path(rule.get("Variable")):
        yield "/Variable" + sub, code, message, remedy
    wanted = _operand_type(operator)
    if wanted is None:
        yield here, "bad_choice_rule", f"{operator} is no comparison.", "Use one that exists."
    elif wanted == "path":
        for sub, code, message, remedy in path(operand):
            yield here + sub, code, message, remedy
    elif wanted == "timestamp":
        for sub, code, message, remedy in timestamp(operand):
            yield here + sub, code, message, remedy
    elif not _is_a(wanted, operand):
        yield here, "wrong_type", f"{operator} compares with a {wanted}.", f"Write a {wanted}."


def _operand_type(operator: str) -> str | None:
    if operator in {"IsPresent", "IsNull", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp"}:
        return "boolean"
    if operator == "StringMatches":
        return "string"
    match = re.fullmatch(
        r"(?:(Boolean)Equals"
        r"|(String|Numeric|Timestamp)(?:Equals|LessThan|GreaterThan|LessThanEquals"
        r"|GreaterThanEquals))(Path)?",
        operator,
    )
    if match is None:
        return None
    return "path" if match[3] else (match[1] or match[2]).lower()


def _is_a(kind: str, operand: object) -> bool:
    if kind == "boolean":
        return isinstance(operand, bool)
    if kind == "string":
        return isinstance(operand, str)
    return isinstance(operand, int | float) and not isinstance(operand, bool)


def escape(token: str) -> str:
    """One token of a JSON pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")

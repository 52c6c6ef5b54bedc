"""Checks single fields of Amazon States Language, for the validator to hang on a state's pointer.

Each checker takes a value and yields (sub-pointer, code, message, remedy). Rules and ranges: the
Amazon States Language specification (states-language.net) and the Step Functions developer guide.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

type Complaint = tuple[str, str, str, str]
type Checker = Callable[[object], Iterable[Complaint]]
type Checks = Mapping[str, Checker]

_PATH = re.compile(r"\$\$?(?:\.[\w-]+|\.\.[\w-]+|\[(?:'[^']*'|\"[^\"]*\"|[^\[\]]+)\]|\.\*)*")
_REFERENCE_PATH = re.compile(r"\$(?:\.[\w-]+|\[(?:'[^']*'|\"[^\"]*\"|\d+)\])*")
_INTRINSIC = re.compile(r"(States\.\w+)\(.*\)", re.DOTALL)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
# fmt: off  (one name a line would hide the rest of the module)
_INTRINSICS = {
    "States.Array",
    "States.ArrayContains",
    "States.ArrayGetItem",
    "States.ArrayLength",
    "States.ArrayPartition",
    "States.ArrayRange",
    "States.ArrayUnique",
    "States.Base64Decode",
    "States.Base64Encode",
    "States.Format",
    "States.Hash",
    "States.JsonMerge",
    "States.JsonToString",
    "States.MathAdd",
    "States.MathRandom",
    "States.StringSplit",
    "States.StringToJson",
    "States.UUID",
}
_STATES_ERRORS = {
    "States.ALL",
    "States.BranchFailed",
    "States.DataLimitExceeded",
    "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout",
    "States.Http",
    "States.IntrinsicFailure",
    "States.ItemReaderFailed",
    "States.NoChoiceMatched",
    "States.ParameterPathFailure",
    "States.Permissions",
    "States.QueryEvaluationError",
    "States.ResultPathMatchFailure",
    "States.ResultWriterFailed",
    "States.Runtime",
    "States.TaskFailed",
    "States.Timeout",
}
# fmt: on
# Step Functions never retries these, whatever a Retrier says.
_NEVER_RETRIED = {"States.Runtime", "States.DataLimitExceeded"}

_BIG = 99_999_999
_MAX_DELAY = 31_622_400


def whole_number(low: int, high: int = _BIG) -> Checker:
    """A checker for a JSON integer within bounds."""

    def check(value: object) -> Iterable[Complaint]:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return ()
        message = f"{value!r:.40} is not a whole number from {low} to {high}."
        return [("", "outOfRange", message, "Use a number in this range.")]

    return check


def text(value: object) -> Iterable[Complaint]:
    """Any text but the empty one."""
    if isinstance(value, str) and value:
        return ()
    return [("", "wrongType", "This must be text and not empty.", "Write some text.")]


def any_text(value: object) -> Iterable[Complaint]:
    """Any text."""
    return () if isinstance(value, str) else [("", "wrongType", "This must be text.", "Write it.")]


def path(value: object) -> Iterable[Complaint]:
    """A JSONPath into the state or the context object."""
    if isinstance(value, str) and _PATH.fullmatch(value):
        return ()
    return [("", "badPath", f"{value!r:.60} is not a JSONPath.", "Start it with $.")]


def optional_path(value: object) -> Iterable[Complaint]:
    """A JSONPath, or null for nothing at all."""
    return () if value is None else path(value)


def result_path(value: object) -> Iterable[Complaint]:
    """A reference path, which names exactly one place, or null."""
    if value is None or (isinstance(value, str) and _REFERENCE_PATH.fullmatch(value)):
        return ()
    message = f"{value!r:.60} is not a reference path."
    return [("", "badPath", message, "Use null, or $ and then plain names and indices.")]


def dynamic(value: object) -> Iterable[Complaint]:
    """A path, or a call of an intrinsic function."""
    if not (isinstance(value, str) and value.startswith("States.")):
        return path(value)
    match = _INTRINSIC.fullmatch(value)
    if match is None or value.count("(") != value.count(")"):
        message = f"{value!r:.60} is not a function call."
        return [("", "badIntrinsic", message, "Close its brackets.")]
    if match[1] not in _INTRINSICS:
        message = f"{match[1]} is no intrinsic function."
        return [("", "badIntrinsic", message, "Use one that exists.")]
    return ()


def timestamp(value: object) -> Iterable[Complaint]:
    """An RFC 3339 instant with its zone."""
    if isinstance(value, str) and _TIMESTAMP.fullmatch(value):
        return ()
    message = f"{value!r:.40} is not an RFC 3339 time."
    return [("", "badTimestamp", message, "Write it like 2026-01-31T09:00:00Z.")]


def template(value: object) -> Iterator[Complaint]:
    """A payload template: in an object, each key that ends in .$ holds a path or an intrinsic."""
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from under(position, template(item))
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if not str(key).endswith(".$"):
            if isinstance(item, (dict, list)):
                yield from under(key, template(item))
            continue
        if str(key)[:-2] in value:
            yield (
                "/" + escape(key),
                "duplicateKey",
                f"{key} is there with and without .$.",
                "Keep one of the two.",
            )
        for found in dynamic(item):
            yield _under(key, found)


def retriers(value: object) -> Iterator[Complaint]:
    """A list of Retriers: names in order, numbers in range."""
    if not isinstance(value, list) or not value:
        yield "", "wrongType", "Retry must be a list of retriers.", "Leave it out, or add one."
        return
    yield from _errors(value, _NEVER_RETRIED)
    for position, item in enumerate(value):
        if isinstance(item, dict):
            yield from under(position, _retrier(item))


def _retrier(item: Mapping[str, object]) -> Iterator[Complaint]:
    yield from fields(item, _RETRIER)
    interval, longest = item.get("IntervalSeconds", 1), item.get("MaxDelaySeconds")
    if isinstance(interval, int) and isinstance(longest, int) and longest <= interval:
        yield (
            "/MaxDelaySeconds",
            "maxDelayTooShort",
            f"MaxDelaySeconds {longest} is not greater than IntervalSeconds {interval}.",
            "Raise the one or lower the other.",
        )


def _backoff_rate(value: object) -> Iterable[Complaint]:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value < math.inf:
        return ()
    return [("", "outOfRange", "BackoffRate must be a number from 1.", "Use 1 or more.")]


def _jitter(value: object) -> Iterable[Complaint]:
    if value in ("FULL", "NONE"):
        return ()
    return [("", "unknownValue", f"{value!r:.40} is no jitter strategy.", "Use FULL or NONE.")]


def catchers(value: object) -> Iterator[Complaint]:
    """A list of Catchers; their targets are the validator's business."""
    if not isinstance(value, list) or not value:
        yield "", "wrongType", "Catch must be a list of catchers.", "Leave it out, or add one."
        return
    yield from _errors(value, {"States.Runtime"})
    for position, item in enumerate(value):
        if isinstance(item, dict):
            yield from under(position, fields(item, _CATCHER, required={"Next"}))


def _errors(handlers: list[object], without_effect: set[str]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for position, item in enumerate(handlers):
        if not isinstance(item, dict):
            yield f"/{position}", "wrongType", "This must be an object.", "Write an object."
            continue
        here = f"/{position}/ErrorEquals"
        names = item.get("ErrorEquals")
        if (
            not isinstance(names, list)
            or not names
            or not all(isinstance(name, str) and name for name in names)
        ):
            yield here, "wrongType", "ErrorEquals must be a list of names.", "Name an error."
            continue
        if "States.ALL" in names and (len(names) > 1 or position < len(handlers) - 1):
            yield (
                here,
                "statesAllNotLast",
                "States.ALL must stand alone and in the last entry.",
                "Move it into an entry of its own at the end.",
            )
        for name in names:
            if name.startswith("States.") and name not in _STATES_ERRORS:
                yield here, "unknownError", f"{name} is no error of Step Functions.", "Correct it."
            if name in without_effect:
                yield here, "withoutEffect", f"{name} is never handled.", "Remove it."
            if name in seen:
                yield here, "shadowedError", f"{name} is handled earlier.", "Remove it here."
            seen.add(name)


def fields(
    item: Mapping[str, object],
    checks: Checks,
    required: set[str] | frozenset[str] = frozenset(),
) -> Iterator[Complaint]:
    """Apply a checker to each field; unknown and missing fields are complaints."""
    if not required <= item.keys():
        for key in sorted(required - item.keys()):
            yield f"/{key}", "missing", f"{key} is missing.", "Add it."
    for key, value in item.items():
        check = checks.get(key)
        if check is None:
            pointer = "/" + escape(key)
            yield pointer, "unknownField", f"{key!r:.60} has no meaning here.", "Remove it."
            continue
        for found in check(value):
            yield _under(key, found)


def anything(_: object) -> Iterable[Complaint]:
    """Accepts: the field is checked elsewhere, with what is around it."""
    return ()


_RETRIER: Checks = {
    "ErrorEquals": anything,
    "Comment": any_text,
    "IntervalSeconds": whole_number(1),
    "MaxAttempts": whole_number(0),
    "MaxDelaySeconds": whole_number(1, _MAX_DELAY),
    "BackoffRate": _backoff_rate,
    "JitterStrategy": _jitter,
}
_CATCHER: Checks = {
    "ErrorEquals": anything,
    "Comment": any_text,
    "ResultPath": result_path,
    "Next": text,
}


def under(token: object, complaints: Iterable[Complaint]) -> Iterator[Complaint]:
    """The same complaints, one level further from the pointer's root."""
    for found in complaints:
        yield _under(token, found)


def _under(token: object, complaint: Complaint) -> Complaint:
    pointer, code, message, remedy = complaint
    return f"/{escape(str(token))}{pointer}", code, message, remedy


def escape(token: str) -> str:
    """One token of a JSON pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")

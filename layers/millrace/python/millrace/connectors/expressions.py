"""JSONata with guards: an expression may be wrong or endless, but never changes data silently.

The engine is `jsonatapy`. Its numbers are doubles, so an integer beyond 2^53 would come out
changed; here such an integer passes through untouched or the record is refused.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from threading import local
from typing import Final

import jsonatapy

from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.quick_json import dump
from millrace.domain.records import RecordError
from millrace.domain.run_values import NO_VALUES, RunValues, names_beside_records

TIMEOUT_MILLISECONDS: Final = 500
STACK_DEPTH_MAX: Final = 200
SEQUENCE_LENGTH_MAX: Final = 100_000
"""The engine's guards, for one record. They cut short what never ends or explodes (jsonata-js
issues 478 and 540); mappings in earnest stay two orders of magnitude below them."""

EXACT_INTEGER_MAX: Final = 2**53
"""Up to here every integer is a double (IEEE 754), as JSONata's numbers are."""

FAULTS: Final = (RecordError, ValueError, TypeError)
"""What an evaluation may raise."""

_TIMED_OUT: Final = "D1012"
_CACHED_EXPRESSIONS: Final = 1_024


class ExpressionError(ValueError):
    """The text is not a JSONata expression; the message says why and where."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position
        """Characters up to and including the first thing that is wrong."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression, to be evaluated on any number of records, in any thread."""

    text: str
    _bindings: dict[str, Json] | None = None

    def bound(self, values: RunValues) -> "Expression":
        """The expression with what it names of a run as its variables: `$variables.region`.

        Raises RecordError if they hold an integer that the engine would change.
        """
        names = names_beside_records(self.text)
        if names is None:
            return self
        bindings = values.named(names)
        if _holds_large_integer(bindings):
            raise RecordError(
                "numberNotExact",
                "a value of the run is an integer beyond 2^53, which JSONata cannot hold exactly; "
                "let it be text",
            )
        return replace(self, _bindings=bindings)

    def evaluate(self, record: Record, *, is_plain: bool = False) -> Json:
        """The expression's value on a record; None where that is undefined.

        `is_plain` says that the record holds no large integer, as `are_plain` found for many at
        once. Raises RecordError if evaluation fails or takes too much, if the value is not JSON, or
        if it needs something of the record that the engine cannot hold exactly.
        """
        if is_plain or not _holds_large_integer(record):
            return self._evaluate(record)
        try:
            return _unwrap(self._evaluate(_wrap(record)))
        except RecursionError as error:
            raise RecordError("nestedTooDeep", "the record is nested too deeply") from error

    def evaluator(self, *, is_plain: bool) -> Callable[[Record], Json]:
        """`evaluate` for many records, without what can be done for all of them at once.

        It raises one of FAULTS, to be understood by `refused`, and leaves it to the caller to call
        `check_finite`.
        """
        if is_plain:
            return partial(_engines.of(self.text).evaluate, bindings=self._bindings)
        return self.evaluate

    def json(self, text: bytes) -> bytes:
        """The JSON of the expression's value on something plain that is JSON.

        What JSON has not is null there, and a function is an empty text. Raises one of FAULTS.
        """
        data = jsonatapy.JsonataData.from_json(text.decode())
        return _engines.of(self.text).evaluate_data_to_json(data, self._bindings).encode()

    def _evaluate(self, record: Json) -> Json:
        try:
            value = _engines.of(self.text).evaluate(record, self._bindings)
        except FAULTS as error:
            raise refused(error) from error
        if value is not True and value is not False:
            check_finite(value)
        return value


def refused(fault: RecordError | ValueError | TypeError) -> RecordError:
    """What a fault of an evaluation means for the record."""
    match fault:
        case RecordError():
            return fault
        case TypeError():
            return _not_exact(fault)
        case _:
            code = "expressionTimeout" if str(fault).startswith(_TIMED_OUT) else "expressionFailed"
            return RecordError(code, str(fault))


def check_finite(value: Json) -> None:
    """Raise RecordError if an expression's value holds a number that JSON has not."""
    if _holds_non_finite(value):
        raise RecordError("notJson", "the expression's value holds an infinite number or NaN")


class _Engines(local):
    """Compiled expressions, those of each thread its own: the engine lends none to another."""

    def __init__(self) -> None:
        self.of = lru_cache(maxsize=_CACHED_EXPRESSIONS)(_compile)


def _compile(text: str) -> jsonatapy.JsonataExpression:
    return jsonatapy.compile(
        text,
        timeout=TIMEOUT_MILLISECONDS,
        max_stack_depth=STACK_DEPTH_MAX,
        max_sequence_length=SEQUENCE_LENGTH_MAX,
    )


_engines: Final = _Engines()


def compile_expression(text: str) -> Expression:
    """The expression, compiled. Raises ExpressionError."""
    try:
        _engines.of(text)
    except ValueError as error:
        raise _located(text, str(error)) from error
    return Expression(text)


def beside_records(text: str, values: RunValues) -> Expression:
    """The compiled expression of an import over a run's values.

    Raises StepFailed for a secret among them, which would get to where nobody hides it, and for a
    value that the engine would change.
    """
    if secret := values.secret_names & (names_beside_records(text) or set()):
        raise StepFailed(
            "secretInRecords",
            f"variable {min(secret)!r} is secret; only path, query and headers of an action may "
            "have it",
        )
    try:
        return compile_expression(text).bound(values)
    except RecordError as error:
        raise StepFailed(error.code, error.message) from error


def check_expression(text: str) -> None:
    """Refuse, before it is stored, what could not be evaluated later. Raises ExpressionError."""
    compile_expression(text)


def matches(filter_expression: str, record: Record, values: RunValues = NO_VALUES) -> bool:
    """Whether a filter lets a record through. Raises ExpressionError, RecordError."""
    return is_truthy(compile_expression(filter_expression).bound(values).evaluate(record))


def is_truthy(value: Json) -> bool:
    """JSONata's cast to boolean (docs.jsonata.org/boolean-functions): as Python's but for arrays.

    An array is true if one of its members is.
    """
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif value:
            return True
    return False


def _located(text: str, fault: str) -> ExpressionError:
    """Say where the fault is, which the engine does not.

    It reads from left to right and stops at the first fault, so the shortest beginning of the
    text that has the same fault ends where the fault is.
    """
    if "end of expression" in fault:
        position = len(text)
    else:
        lengths = range(len(text))
        position = bisect_left(lengths, x=True, key=lambda end: _fault(text[:end]) == fault)
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, max(position - 1, 0)) + 1)
    plain = fault.removeprefix("Parse error: ").removeprefix("Invalid syntax: ")
    return ExpressionError(f"{plain} (line {line}, column {column})", position)


def _fault(text: str) -> str | None:
    try:
        jsonatapy.compile(text)
    except ValueError as error:
        return str(error)
    return None


class _LargeInteger:
    """Stands for an integer that the engine would change.

    The engine converts only the parts of a record that an expression looks into and hands on the
    others as they are. So this passes through it where the integer is only carried along, and is
    refused as no JSON where the expression needs its value.
    """

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value


def _wrap(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _wrap(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_wrap(member) for member in value]
    if isinstance(value, int) and abs(value) > EXACT_INTEGER_MAX:
        return _LargeInteger(value)
    return value


def _unwrap(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _unwrap(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_unwrap(member) for member in value]
    return value.value if isinstance(value, _LargeInteger) else value


def _not_exact(error: TypeError) -> RecordError:
    if _LargeInteger.__name__ in str(error):
        return RecordError(
            "numberNotExact",
            "the expression needs an integer beyond 2^53, which JSONata cannot hold exactly; "
            "let the source send it as text",
        )
    return RecordError(
        "textNotUnicode",
        f"the expression needs text that is not Unicode (a lone surrogate): {error}",
    )


_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_MANY_DIGITS: Final = b"0" * len(str(EXACT_INTEGER_MAX))


def are_plain(records: Sequence[Record]) -> bool:
    """Whether surely none of the records holds a large integer: their JSON has no such digits."""
    try:
        return not has_many_digits(dump(records))
    except RecursionError:
        return False


def has_many_digits(text: bytes) -> bool:
    """Whether so many stand in a row that they may be a large integer."""
    return _MANY_DIGITS in text.translate(_DIGITS)


# The two scans below see every value of every record, hence loops without calls.


def _holds_large_integer(value: Json) -> bool:
    pending = [value if type(value) is dict else [value]]
    while pending:
        value = pending.pop()
        for member in value.values() if type(value) is dict else value:
            kind = type(member)
            if kind is int:
                if not -EXACT_INTEGER_MAX <= member <= EXACT_INTEGER_MAX:
                    return True
            elif kind is dict or kind is list:
                pending.append(member)
    return False


def _holds_non_finite(value: Json) -> bool:
    pending = [value if type(value) is dict else [value]]
    while pending:
        value = pending.pop()
        for member in value.values() if type(value) is dict else value:
            kind = type(member)
            if kind is float:
                if not math.isfinite(member):
                    return True
            elif kind is dict or kind is list:
                pending.append(member)
    return False

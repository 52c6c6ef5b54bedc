"""What a system's answer to a batch says of each record of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from millrace.connectors.expressions import beside_records, is_truthy
from millrace.connectors.json_documents import describe, resolve
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.imports import Results
from millrace.domain.records import RecordError
from millrace.domain.run_values import RunValues

_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one record."""

    document: Json
    """What the system says of it."""
    is_written: bool
    status: int | None = None
    code: str | None = None
    message: str | None = None
    id: Json = None


class ResultReader:
    """Reads results where an action says that they stand."""

    def __init__(self, results: Results, values: RunValues) -> None:
        """Raises StepFailed if the values cannot stand in its expression."""
        self._results = results
        self._is_ok = (
            None if results.ok_expression is None else beside_records(results.ok_expression, values)
        )

    def read(self, document: Json, records: Sequence[Record]) -> list[Result]:
        """A result for each record.

        Raises LookupError if there is no array of results, or, in order, not one for each record.
        """
        elements = _at(document, self._results.path, _MISSING)
        if not isinstance(elements, list):
            found = "nothing" if elements is _MISSING else describe(elements)
            message = f"where the results should be, the answer has {found}"
            raise LookupError(message)  # noqa: TRY004 - as for results that are not there
        return [
            _UNTOLD if element is _MISSING else self._result(element)
            for element in self._matched(elements, records)
        ]

    def _matched(self, elements: list[Json], records: Sequence[Record]) -> list[Json]:
        if self._results.key_path is None or self._results.record_key_path is None:
            if len(elements) != len(records):
                message = f"the answer has {len(elements)} results for {len(records)} records"
                raise LookupError(message)
            return elements
        by_key: dict[str, Json] = {}
        for element in elements:
            key = _at(element, self._results.key_path)
            if key is not None:
                by_key[_text(key)] = element
        keys = (_at(record, self._results.record_key_path) for record in records)
        return [_MISSING if key is None else by_key.get(_text(key), _MISSING) for key in keys]

    def _result(self, element: Json) -> Result:
        results = self._results
        status = None
        if results.status_path is not None:
            status = _status(_at(element, results.status_path))
            is_written = status is not None and status // 100 == HTTPStatus.OK // 100
        else:
            is_written = self._judged(element)
        code = None if results.code_path is None else _at(element, results.code_path)
        message = None if results.message_path is None else _at(element, results.message_path)
        return Result(
            element,
            is_written,
            status,
            None if code is None else _text(code),
            None if message is None else _text(message),
            None if results.id_path is None else _at(element, results.id_path),
        )

    def _judged(self, element: Json) -> bool:
        if self._is_ok is None or not isinstance(element, dict):
            return False
        try:
            return is_truthy(self._is_ok.evaluate(element))
        except RecordError:
            return False


_UNTOLD: Final = Result(
    None, is_written=False, code="resultMissing", message="the answer says nothing of the record"
)


def _text(value: Json) -> str:
    """A text of whatever a system answers, which may hold half a surrogate pair."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _at(document: Json, pointer: str, default: Json = None) -> Json:
    try:
        return resolve(document, pointer)
    except (LookupError, StepFailed):
        return default


def _status(value: Json) -> int | None:
    """A status that is a number, or a text with one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:  # noqa: PLR2004 - digits of a status
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None

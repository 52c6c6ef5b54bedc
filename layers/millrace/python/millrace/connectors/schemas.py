"""JSON Schema 2020-12: schemas that can be used, and records that keep them."""

from collections.abc import Sequence
from typing import Final

import jsonschema_rs

from millrace.connectors.stages import Passage, Row
from millrace.domain.base import Json, Record
from millrace.domain.json_text import is_deep
from millrace.domain.pointers import pointer_of
from millrace.domain.records import RecordError

_FAULTS_SHOWN: Final = 5
_META: Final = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
_LEVELS_MAX: Final = 200
"""The library follows a record by recursion, and would take the process with it if it overflows."""

_HIDDEN: Final = "the value"
"""Stands for data of the record in messages, which are logged."""


class SchemaError(ValueError):
    """A schema that cannot be used."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


def check_schema(schema: Json) -> list[tuple[str, str]]:
    """What is wrong with a schema: JSON pointers into it, and what it is there."""
    meta = jsonschema_rs.Draft202012Validator(_META, offline=True)
    faults = [
        (pointer_of(*fault.instance_path), fault.message) for fault in meta.iter_errors(schema)
    ]
    if faults:
        return faults
    try:
        _validator(schema)
    except SchemaError as error:
        return [(error.pointer, str(error))]
    return []


def _validator(schema: Json) -> jsonschema_rs.Draft202012Validator:
    """Raises SchemaError. Nothing is fetched, and no pattern takes more than linear time."""
    try:
        return jsonschema_rs.Draft202012Validator(
            schema,
            validate_formats=True,
            mask=_HIDDEN,
            pattern_options=jsonschema_rs.RegexOptions(),
            offline=True,
        )
    except jsonschema_rs.ValidationError as error:
        raise SchemaError(pointer_of(*error.instance_path), error.message) from error
    except ValueError as error:
        raise SchemaError("", str(error)) from error


class Validating:
    """Lets the records through that keep a schema; the others fail."""

    makes_records = False

    def __init__(self, schema: Json) -> None:
        self._validator = _validator(schema)

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage."""
        del is_plain
        out: list[Row] = []
        for row in rows:
            try:
                self._check(row[1])
            except RecordError as error:
                passage.fail(row[0], error)
                continue
            out.append(row)
        return out

    def _check(self, record: Record) -> None:
        if is_deep(record, _LEVELS_MAX):
            message = f"a schema judges records of up to {_LEVELS_MAX} levels"
            raise RecordError("nestedTooDeep", message)
        try:
            if self._validator.is_valid(record):
                return
            faults = [
                f"{pointer_of(*fault.instance_path) or 'the record'}: {fault.message}"
                for fault in self._validator.iter_errors(record)
            ]
        except UnicodeEncodeError as error:
            message = f"a schema cannot be held against text that is not Unicode: {error}"
            raise RecordError("textNotUnicode", message) from error
        more = len(faults) - _FAULTS_SHOWN
        shown = "; ".join(faults[:_FAULTS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise RecordError("schemaViolation", shown)

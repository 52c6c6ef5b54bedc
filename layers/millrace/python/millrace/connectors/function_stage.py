"""The operation that hands records to a user's own Lambda function.

   {"records": [...], "run": "run_...", "step": "clean", "idempotencyKey": "...", "isTest": false}
-> {"records": [...], "errors": [{"index": 1, "code": "...", "message": "..."}]}
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import Field, ValidationError

from millrace import limits
from millrace.connectors.exact_json import ExactDecoder
from millrace.connectors.http_client import BrokenAnswerError
from millrace.connectors.json_documents import describe
from millrace.connectors.stages import Passage, Row
from millrace.domain.base import Json, Model, Record
from millrace.domain.errors import StepFailed
from millrace.domain.operations import FunctionOperation
from millrace.domain.ports import Surroundings
from millrace.domain.quick_json import dump
from millrace.domain.records import RecordError, idempotency_key

_BAD_ANSWER: Final = "badFunctionAnswer"


class _Fault(Model):
    """A record that the function could not handle."""

    index: int = Field(ge=0)
    code: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=64)
    message: str


class _Answer(Model):
    records: list[Json] | None = None
    errors: list[_Fault] = Field(default_factory=list)


class Calling:
    """Replaces records by what a function answers for each."""

    makes_records = True

    def __init__(self, operation: FunctionOperation, surroundings: Surroundings) -> None:
        self._operation = operation
        self._surroundings = surroundings
        self._decoder = ExactDecoder()

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage."""
        del is_plain
        out: list[Row] = []
        for batch, texts in self._batches(rows):
            answer = self._call(batch, texts, passage)
            faults = {fault.index: fault for fault in answer.errors}
            for place, row in enumerate(batch):
                if (fault := faults.get(place)) is not None:
                    passage.fail(row[0], RecordError(fault.code, fault.message))
                elif answer.records is None:
                    out.append(row)
                else:
                    out += self._rows(row[0], answer.records[place], passage)
        return out

    def _batches(self, rows: Sequence[Row]) -> Iterator[tuple[list[Row], list[bytes]]]:
        """Rows for one call each, with their JSON."""
        batch: list[Row] = []
        texts: list[bytes] = []
        size = 0
        for row in rows:
            text = _text(row[1])
            is_full = size + len(text) > limits.FUNCTION_REQUEST_BYTES
            if batch and (is_full or len(batch) == self._operation.batch_size):
                yield batch, texts
                batch, texts, size = [], [], 0
            batch.append(row)
            texts.append(text)
            size += len(text)
        if batch:
            yield batch, texts

    def _call(self, batch: list[Row], texts: list[bytes], passage: Passage) -> _Answer:
        records = b"[" + b",".join(texts) + b"]"
        here = self._surroundings
        # The same for the same records of the same origin: a step that died calls once more.
        key = idempotency_key(passage.origins[batch[0][0]], here.step_id, records)
        beside = {
            "run": here.run_id,
            "step": here.step_id,
            "idempotencyKey": key,
            "isTest": here.is_test,
        }
        payload = json.dumps(beside)[:-1].encode() + b',"records":' + records + b"}"
        answer = self._decoded(here.functions.invoke(self._operation.arn, payload))
        if answer.records is not None and len(answer.records) != len(batch):
            raise StepFailed(
                _BAD_ANSWER,
                f"the function was given {len(batch)} records and answered "
                f"{len(answer.records)}; records needs an element for each: an object, an array of "
                "objects, or null for a record that goes no further",
            )
        if any(fault.index >= len(batch) for fault in answer.errors):
            raise StepFailed(_BAD_ANSWER, "the function names an error of a record that is not")
        return answer

    def _decoded(self, body: bytes) -> _Answer:
        try:
            document = self._decoder.answer(body, "utf-8")
        except BrokenAnswerError as error:
            raise StepFailed("notJson", str(error)) from error
        try:
            return _Answer.model_validate(document)
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]
            place = "/".join(map(str, fault["loc"]))
            raise StepFailed(
                _BAD_ANSWER,
                f"the function answered {describe(document)}, not "
                f"{{records: [...], errors: [{{index, code, message}}]}}: {place} {fault['msg']}",
            ) from error

    def _rows(self, index: int, element: Json, passage: Passage) -> Iterator[Row]:
        """What an element of the answer puts in a record's place."""
        if element is None or element == []:
            passage.ignored += 1
            return
        parts = element if isinstance(element, list) else [element]
        records: list[Record] = []
        for part in parts:
            record = self._decoder.record(part)
            if isinstance(record, RecordError):
                passage.fail(index, record)
                return
            records.append(record)
        yield from ((index, record) for record in records)


def _text(record: Record) -> bytes:
    """JSON that every language reads: half a surrogate pair is escaped."""
    data = dump(record)
    try:
        data.decode()
    except UnicodeDecodeError:
        return json.dumps(record, separators=(",", ":")).encode()
    return data

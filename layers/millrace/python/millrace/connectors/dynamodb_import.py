"""Writes records as items of a table; writing one twice changes nothing."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from boto3.dynamodb.types import TypeSerializer

from millrace.connectors.aws_targets import AwsRefused, AwsTargets, reaching
from millrace.connectors.record_writers import encoded
from millrace.domain.aws_imports import DynamoDbImport
from millrace.domain.base import Record
from millrace.domain.errors import StepTransient
from millrace.domain.json_text import is_deep
from millrace.domain.records import Answer, Origin, RecordError, RecordFailure, Written

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        WriteRequestOutputTypeDef,
        WriteRequestTypeDef,
        WriteRequestUnionTypeDef,
    )

_RECORDS_AT_ONCE: Final = 500
"""Remembered together: a repeated write is harmless, and each remembering is a write too."""

_ITEMS_AT_ONCE: Final = 25
"""DynamoDB: requests in one BatchWriteItem."""

_LEVELS: Final = 32
"""DynamoDB: maps and lists within one another."""

_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each further try of what a write left."""

_DONE: Final = Answer(200, lambda: None)


class DynamoDbImporter:
    """An import to DynamoDB at work."""

    def __init__(
        self,
        work: DynamoDbImport,
        targets: AwsTargets,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        targets.check("table", work.table)
        self._import = work
        self._connect = targets.dynamodb
        self._sleep = sleep
        self._serializer = TypeSerializer()

    @property
    def batch_size(self) -> int:
        """Records to give to one call of `write`, at most."""
        return _RECORDS_AT_ONCE

    def write(self, records: Sequence[Record], origins: Sequence[Origin]) -> Written:
        """Put or delete the items of the records, in order. Raises StepFailed or StepTransient."""
        del origins
        failures: list[RecordFailure] = []
        requests: dict[int, WriteRequestTypeDef] = {}
        for index, record in enumerate(records):
            try:
                requests[index] = self._request(record)
            except RecordError as error:
                failures.append(RecordFailure.of(index, error))
        for group in self._groups(records, requests):
            failures += self._write(group)
        failures.sort(key=lambda failure: failure.index)
        refused = {failure.index for failure in failures}
        answers = {index: _DONE for index in requests if index not in refused}
        return Written(failures, answers=answers)

    def _request(self, record: Record) -> "WriteRequestTypeDef":
        for name in self._import.key:
            if record.get(name) is None:
                raise RecordError("keyMissing", f"the record has no {name!r}, part of the key")
        names = self._import.key if self._import.operation == "delete" else tuple(record)
        chosen = {name: record[name] for name in names}
        if is_deep(chosen, 1 + _LEVELS):
            message = f"the record is nested more deeply than the {_LEVELS} levels of an item"
            raise RecordError("nestedTooDeep", message)
        plain = json.loads(encoded(chosen), parse_float=Decimal)
        try:
            item = {name: self._serializer.serialize(value) for name, value in plain.items()}
        except ArithmeticError as error:
            message = "the record holds a number beyond the 38 digits that DynamoDB keeps"
            raise RecordError("numberNotExact", message) from error
        if self._import.operation == "delete":
            return {"DeleteRequest": {"Key": item}}
        return {"PutRequest": {"Item": item}}

    def _groups(
        self, records: Sequence[Record], requests: "Mapping[int, WriteRequestTypeDef]"
    ) -> "Iterator[dict[int, WriteRequestTypeDef]]":
        """So many at a time, and no key twice: the later one has to come after the earlier."""
        group: dict[int, WriteRequestTypeDef] = {}
        keys = set[str]()
        for index, request in requests.items():
            key = json.dumps([records[index][name] for name in self._import.key])
            if len(group) == _ITEMS_AT_ONCE or key in keys:
                yield group
                group, keys = {}, set()
            group[index] = request
            keys.add(key)
        if group:
            yield group

    def _write(self, group: "Mapping[int, WriteRequestTypeDef]") -> list[RecordFailure]:
        try:
            self._send([*group.values()])
        except AwsRefused as error:
            # One bad item is the refusal of all: each by itself tells which it is.
            if len(group) > 1:
                return [
                    failure for index in group for failure in self._write({index: group[index]})
                ]
            return [RecordFailure(index, error.code, error.message) for index in group]
        return []

    def _send(
        self, requests: "Sequence[WriteRequestUnionTypeDef | WriteRequestOutputTypeDef]"
    ) -> None:
        table = self._import.table
        for pause in (*_PAUSES, None):
            with reaching(f"table {table!r}"):
                answer = self._connect().batch_write_item(RequestItems={table: requests})
            requests = answer.get("UnprocessedItems", {}).get(table, [])
            if not requests:
                return
            if pause is not None:
                self._sleep(pause)
        raise StepTransient("throttled", f"table {table!r} keeps leaving items unwritten")

"""Sends records as messages of a queue, each under a name by which a second copy can be told."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from millrace import limits
from millrace.connectors.aws_targets import AwsRefused, AwsTargets, reaching
from millrace.connectors.expressions import beside_records
from millrace.connectors.http_import import KeyFactory
from millrace.connectors.record_writers import encoded
from millrace.domain.aws_imports import SqsImport
from millrace.domain.base import Record
from millrace.domain.errors import StepTransient
from millrace.domain.records import Answer, Origin, RecordError, RecordFailure, Written
from millrace.domain.run_values import RunValues

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_RECORDS_AT_ONCE: Final = 100
"""Remembered together; after a crash so many messages may be sent a second time."""

_MESSAGES_AT_ONCE: Final = 10
_BYTES_AT_ONCE: Final = 262_144
"""SQS: messages in one SendMessageBatch, and their bytes where a queue has the older limit."""

_ROOM_FOR_ATTRIBUTES: Final = 512
_PAUSES: Final = (0.1, 0.4, 1.6)
"""Seconds before each further try of messages that the queue did not take for a reason of its."""


@dataclass(frozen=True, slots=True)
class _Message:
    index: int
    entry: "SendMessageBatchRequestEntryTypeDef"
    size: int


class SqsImporter:
    """An import to SQS at work."""

    def __init__(
        self,
        work: SqsImport,
        targets: AwsTargets,
        values: RunValues,
        keys: KeyFactory,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        targets.check("queue", work.queue)
        self._import = work
        self._connect = targets.sqs
        self._keys = keys
        self._sleep = sleep
        self._group = None if work.group is None else beside_records(work.group, values)
        self._is_fifo = work.queue.endswith(".fifo")

    @property
    def batch_size(self) -> int:
        """Records to give to one call of `write`, at most."""
        return _RECORDS_AT_ONCE

    def write(self, records: Sequence[Record], origins: Sequence[Origin]) -> Written:
        """Send the records in order. Raises StepFailed or StepTransient."""
        failures: list[RecordFailure] = []
        messages: list[_Message] = []
        for index, record in enumerate(records):
            try:
                messages.append(self._message(index, record, origins[index]))
            except RecordError as error:
                failures.append(RecordFailure.of(index, error))
        answers: dict[int, Answer] = {}
        for group in _groups(messages):
            failures += self._send(group, answers)
        failures.sort(key=lambda failure: failure.index)
        return Written(failures, answers=answers)

    def _message(self, index: int, record: Record, origin: Origin) -> _Message:
        data = encoded(record)
        # SQS refuses some characters, which JSON can write as escapes.
        text = json.dumps(record, separators=(",", ":"))
        size = len(text) + _ROOM_FOR_ATTRIBUTES
        if size > limits.MESSAGE_BYTES:
            message = f"as a message it has {len(text):,} bytes; SQS takes {limits.MESSAGE_BYTES:,}"
            raise RecordError("tooLarge", message)
        key = self._keys(origin, data)
        entry: SendMessageBatchRequestEntryTypeDef = {
            "Id": str(index),
            "MessageBody": text,
            "MessageAttributes": {"IdempotencyKey": {"DataType": "String", "StringValue": key}},
        }
        if self._is_fifo:
            entry["MessageDeduplicationId"] = key
        if self._group is not None:
            entry["MessageGroupId"] = self._group_of(record)
        return _Message(index, entry, size)

    def _group_of(self, record: Record) -> str:
        value = None if self._group is None else self._group.evaluate(record)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise RecordError("groupMissing", "the group of the record is neither text nor number")
        return str(value)

    @cached_property
    def _url(self) -> str:
        with reaching(f"queue {self._import.queue!r}"):
            return self._connect().get_queue_url(QueueName=self._import.queue)["QueueUrl"]

    def _send(self, group: Sequence[_Message], answers: dict[int, Answer]) -> list[RecordFailure]:
        left = {message.entry["Id"]: message for message in group}
        failures: list[RecordFailure] = []
        for pause in (*_PAUSES, None):
            try:
                with reaching(f"queue {self._import.queue!r}"):
                    told = self._connect().send_message_batch(
                        QueueUrl=self._url, Entries=[message.entry for message in left.values()]
                    )
            except AwsRefused as error:
                # One bad message is the refusal of all: each by itself tells which it is.
                messages = [*left.values()]
                if len(messages) > 1:
                    return failures + [
                        failure for each in messages for failure in self._send([each], answers)
                    ]
                (index,) = (message.index for message in messages)
                return [*failures, RecordFailure(index, error.code, error.message)]
            for sent in told.get("Successful", []):
                message = left.pop(sent["Id"])
                answers[message.index] = Answer(200, lambda: None, sent["MessageId"])
            for refused in told.get("Failed", []):
                if refused["SenderFault"]:
                    message = left.pop(refused["Id"])
                    reason = refused.get("Message", "the queue does not take it")
                    failures.append(RecordFailure(message.index, refused["Code"], reason))
            if not left:
                return failures
            if pause is not None:
                self._sleep(pause)
        raise StepTransient("throttled", f"queue {self._import.queue!r} keeps leaving messages")


def _groups(messages: Sequence[_Message]) -> Iterator[list[_Message]]:
    """What SQS takes at once; a message that is longer goes alone."""
    group: list[_Message] = []
    size = 0
    for message in messages:
        if group and (len(group) == _MESSAGES_AT_ONCE or size + message.size > _BYTES_AT_ONCE):
            yield group
            group, size = [], 0
        group.append(message)
        size += message.size
    if group:
        yield group

"""Lookups: exports that are asked for a record or a batch of them, which go on with the answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from millrace import limits
from millrace.domain.base import Json, Record
from millrace.domain.batch_lookup import BatchLookup, Key, key_at
from millrace.domain.errors import StepFailed
from millrace.domain.ports import Exporter
from millrace.domain.records import RecordError

OF_THE_RECORD: Final = frozenset(
    {
        *(f"http{status}" for status in (400, 404, 409, 410, 413, 414, 422)),
        *("answerTooLarge", "recordTooLarge", "recordsMissing", "notJson", "notXml"),
        *("templateUndefined", "templateNotText", "badValue", "textNotUnicode"),
        *("expressionFailed", "expressionTimeout", "numberNotExact"),
    }
)
"""Errors that other records need not meet."""


class Ask(Protocol):
    """Makes the reader of what is asked for these values beside those of the run."""

    def __call__(self, **asked: Json) -> Exporter:
        """See above; it raises as `Connectors.exporter` does."""
        ...


@dataclass(frozen=True, slots=True)
class Lookup:
    """What another system has for records."""

    ask: Ask
    key_of: Callable[[Record, str], Key]
    """The key at a place of a record. Raises RecordError."""

    batch: BatchLookup | None

    @property
    def size(self) -> int:
        """For how many records it asks at once."""
        return 1 if self.batch is None else self.batch.batch_size

    def find(self, records: Sequence[Record]) -> list[list[Record] | RecordError]:
        """What was found for each of so many records, or why that cannot be had.

        Raises RecordError if it cannot be had for several together, else as an Exporter does.
        """
        if self.batch is None:
            return [self._found(record) for record in records]
        keys = [key_at(record, self.batch.record_key_path) for record in records]
        known = [record for record, key in zip(records, keys, strict=True) if key is not None]
        wanted = list({str(key): key for key in keys if key is not None}.values())
        by_key: dict[str, list[Record]] = {}
        failure: RecordError | None = None
        try:
            if known:
                found = self._read(limits.LOOKUP_RECORDS, records=known, keys=wanted)
                by_key = _by_key(found, self.batch.key_path)
        except RecordError as error:
            if len(known) > 1:
                raise
            failure = error
        return [self._its_own(record, self.batch, failure or by_key) for record in records]

    def _found(self, record: Record) -> list[Record] | RecordError:
        try:
            return self._read(limits.PAGE_RECORDS, record=record)
        except RecordError as error:
            return error

    def _its_own(
        self, record: Record, batch: BatchLookup, found: Mapping[str, list[Record]] | RecordError
    ) -> list[Record] | RecordError:
        try:
            key = str(self.key_of(record, batch.record_key_path))
        except RecordError as error:
            return error
        if isinstance(found, RecordError):
            return found
        too_many = len(found.get(key, ())) > limits.PAGE_RECORDS
        return _too_many(limits.PAGE_RECORDS) if too_many else found.get(key, [])

    def _read(self, most: int, **asked: Json) -> list[Record]:
        """The records of all pages."""
        found: list[Record] = []
        try:
            for page in self.ask(**asked).pages(None):
                for failure in page.failures:
                    raise RecordError(failure.code, failure.message)
                found += page.records
                if len(found) > most:
                    raise _too_many(most)
        except StepFailed as error:
            if error.code in OF_THE_RECORD:
                raise RecordError(error.code, error.message) from error
            raise
        return found


def _by_key(found: Sequence[Record], pointer: str) -> dict[str, list[Record]]:
    """What was found by the keys that it is for."""
    by_key: dict[str, list[Record]] = {}
    for each in found:
        key = key_at(each, pointer)
        if key is not None:
            by_key.setdefault(str(key), []).append(each)
    if found and not by_key:
        message = f"nothing of what was found has a text or number at keyPath '{pointer}'"
        raise StepFailed("foundWithoutKey", message)
    return by_key


def _too_many(most: int) -> RecordError:
    return RecordError("tooLarge", f"a lookup takes at most {most:,} records for what it asks")

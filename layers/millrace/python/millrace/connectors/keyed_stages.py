"""Operations that go by a key: dedupe, remember, enrich; most of them over a data pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Final

from millrace import limits
from millrace.connectors.expressions import Expression
from millrace.connectors.stages import Passage, Row, Stage, bound, evaluated, key_text
from millrace.domain.base import Json, Record
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import StepFailed
from millrace.domain.operations import DedupeOperation, EnrichOperation, RememberOperation
from millrace.domain.pool_entries import Claim, PoolEntry
from millrace.domain.ports import Surroundings
from millrace.domain.quick_json import dump
from millrace.domain.records import RecordError
from millrace.domain.run_values import RunValues

_DIGEST_BYTES: Final = 16


def _keyed(
    key: Expression,
    rows: Sequence[Row],
    passage: Passage,
    *,
    is_plain: bool,
    is_needed: bool = True,
) -> list[tuple[Row, str]]:
    """The rows with their keys; those without one fail if it is needed."""

    def key_of(record: Record) -> str:
        value = key.evaluate(record, is_plain=is_plain)
        if value is None and is_needed:
            raise RecordError("keyMissing", "the key expression gives nothing for this record")
        return key_text(value)

    return evaluated(rows, passage, key_of)


@dataclass(frozen=True, slots=True)
class Pool:
    """A data pool as one step of a run uses it."""

    pool: DataPool
    surroundings: Surroundings

    @classmethod
    def of(cls, surroundings: Surroundings, id_: str) -> "Pool":
        """The pool that an operation names. Raises StepFailed if there is none."""
        pool = surroundings.pools.get(id_)
        if pool is None:
            raise StepFailed("dataPoolMissing", f"there is no data pool {id_!r}")
        return cls(pool, surroundings)

    def entry(self, key: str, index: int, passage: Passage, value: Json = None) -> PoolEntry:
        """What the pool is to remember for a row."""
        here = self.surroundings
        origin = passage.origins[index]
        origin = origin._replace(run_id=here.first_run(origin.run_id))
        claim = Claim(origin, here.step_id, here.run_id, here.attempt)
        expires_at = here.clock() + timedelta(seconds=self.pool.ttl_seconds)
        return PoolEntry(key, claim, expires_at, value)

    def get_many(self, keys: list[str]) -> dict[str, PoolEntry]:
        """What it remembers of these."""
        here = self.surroundings
        return here.entries.get_many(here.workspace_id, self.pool.id, keys, here.clock())

    def claim(self, entries: list[PoolEntry]) -> dict[str, Claim]:
        """Whose each key is now."""
        here = self.surroundings
        return here.entries.claim(here.workspace_id, self.pool.id, entries, here.clock())

    def put(self, entries: list[PoolEntry]) -> None:
        """Remember, in place of what is there."""
        self.surroundings.entries.put(self.surroundings.workspace_id, self.pool.id, entries)


class Deduping:
    """Lets the first record of each key through, as far as this step of this run has seen."""

    makes_records = False

    def __init__(self, key: str, values: RunValues, place: int) -> None:
        self._key = bound(key, values)
        self._place = place
        self._seen: set[bytes] = set()

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage."""
        out: list[Row] = []
        for row, key in _keyed(self._key, rows, passage, is_plain=is_plain):
            digest = blake2b(key.encode(), digest_size=_DIGEST_BYTES).digest()
            if digest in self._seen:
                passage.ignored += 1
                continue
            if len(self._seen) == limits.DEDUPE_KEYS:
                raise StepFailed(
                    "tooManyKeys",
                    f"a dedupe without a data pool knows {limits.DEDUPE_KEYS:,} keys; "
                    "give it a dataPoolId",
                )
            self._seen.add(digest)
            passage.kept.append([self._place, digest.hex()])
            out.append(row)
        return out

    def take_back(self, kept: Json) -> None:
        """See Rememberer."""
        (digest,) = kept
        self._seen.add(bytes.fromhex(digest))


class PoolDeduping:
    """Lets the first record of each key through, as far as a data pool remembers."""

    makes_records = False

    def __init__(self, key: str, values: RunValues, pool: Pool) -> None:
        self._key = bound(key, values)
        self._pool = pool

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage."""
        first: dict[str, PoolEntry] = {}
        rest: list[tuple[Row, PoolEntry]] = []
        for row, key in _keyed(self._key, rows, passage, is_plain=is_plain):
            if key in first:
                passage.ignored += 1
                continue
            first[key] = self._pool.entry(key, row[0], passage)
            rest.append((row, first[key]))
        claims = self._pool.claim([*first.values()])
        out = [row for row, entry in rest if claims[entry.key] == entry.claim]
        passage.ignored += len(rest) - len(out)
        return out


class Remembering:
    """Stores a value for each record in a data pool."""

    makes_records = False

    def __init__(self, operation: RememberOperation, values: RunValues, pool: Pool) -> None:
        self._key = bound(operation.key, values)
        self._value = bound(operation.value, values)
        self._pool = pool

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage."""
        out: list[Row] = []
        entries: list[PoolEntry] = []
        for row, key in _keyed(self._key, rows, passage, is_plain=is_plain):
            try:
                value = self._value.evaluate(row[1], is_plain=is_plain)
            except RecordError as error:
                passage.fail(row[0], error)
                continue
            if len(dump(value)) > limits.POOL_VALUE_BYTES:
                message = f"a value in a data pool may take {limits.POOL_VALUE_BYTES:,} bytes"
                passage.fail(row[0], RecordError("tooLarge", message))
                continue
            entries.append(self._pool.entry(key, row[0], passage, value))
            out.append(row)
        self._pool.put(entries)
        return out


class Enriching:
    """Puts what a data pool or a variable has under a record's key into a field of it."""

    makes_records = True

    def __init__(
        self, operation: EnrichOperation, values: RunValues, source: Pool | Mapping[str, Json]
    ) -> None:
        self._key = bound(operation.key, values)
        self._into = operation.into
        self._is_required = operation.required
        self._source = source

    def apply(self, rows: Sequence[Row], passage: Passage, *, is_plain: bool) -> Sequence[Row]:
        """See Stage."""
        keyed = _keyed(self._key, rows, passage, is_plain=is_plain, is_needed=False)
        values = self._values([key for _, key in keyed])
        out: list[Row] = []
        for (index, record), key in keyed:
            value = values.get(key)
            if value is not None:
                out.append((index, record | {self._into: value}))
            elif self._is_required:
                passage.fail(index, RecordError("keyUnknown", "there is no value for its key"))
            else:
                out.append((index, record))
        return out

    def _values(self, keys: list[str]) -> Mapping[str, Json]:
        if isinstance(self._source, Pool):
            found = self._source.get_many(keys)
            return {key: entry.value for key, entry in found.items()}
        return self._source


def keyed_stage(
    operation: DedupeOperation | RememberOperation | EnrichOperation, place: int, here: Surroundings
) -> Stage:
    """The stage of an operation that goes by a key. Raises ExpressionError, StepFailed."""
    pool = None if operation.data_pool_id is None else Pool.of(here, operation.data_pool_id)
    match operation, pool:
        case DedupeOperation(), None:
            return Deduping(operation.key, here.values, place)
        case DedupeOperation(), Pool():
            return PoolDeduping(operation.key, here.values, pool)
        case RememberOperation(), Pool():
            return Remembering(operation, here.values, pool)
        case EnrichOperation(), _:
            return Enriching(operation, here.values, pool or _table(operation.variable or "", here))
    raise AssertionError(operation)


def _table(variable: str, here: Surroundings) -> dict[str, Json]:
    """A variable as a table to look keys up in.

    Raises StepFailed if it is none.
    """
    value = here.values.variables.get(variable)
    if not isinstance(value, dict):
        found = "is not there" if value is None else "is no object"
        raise StepFailed("variableUnusable", f"variable {variable!r} {found}; enrich needs one")
    texts = {key_text(name): member for name, member in value.items()}
    # The keys of an object are text, and those of records may well be numbers.
    return {name: member for name, member in value.items() if name.isdecimal()} | texts

"""Record errors in people's hands: listed, resolved, assigned, tagged, their records edited."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from pydantic import Field, model_validator

from millrace import limits
from millrace.domain.base import Model, Moment, Name, Record
from millrace.domain.cursor import encode_cursor
from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.failed_record import Classification, ErrorSource, FailedRecord, KeptRecord
from millrace.domain.findings import need_one
from millrace.domain.ports import Blobs, Listing
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.flows import get_flow
from millrace.usecases.pages import encode_page
from millrace.usecases.resources import check_revision

_PAGE: Final = limits.BATCH_READ_ITEMS
"""What a filter looks at in one read."""


class ErrorFilter(Model):
    """Which errors: all that is given must hold, and of several values any."""

    step_id: tuple[str, ...] | None = None
    run_id: tuple[str, ...] | None = Field(default=None, description="Runs they failed in last.")
    source: tuple[ErrorSource, ...] | None = None
    code: tuple[str, ...] | None = None
    classification: tuple[Classification, ...] | None = None
    trace_key: tuple[str, ...] | None = None
    assigned_to: tuple[str, ...] | None = None
    tag: tuple[str, ...] | None = None
    occurred_after: Moment | None = None
    occurred_before: Moment | None = None

    def admits(self, entry: FailedRecord) -> bool:
        """Whether an error is one of them."""
        one_of = (
            (self.step_id, entry.step_id),
            (self.run_id, entry.run_id),
            (self.source, entry.source),
            (self.code, entry.code),
            (self.classification, entry.classification),
            (self.trace_key, entry.trace_key),
            (self.assigned_to, entry.assigned_to),
        )
        return (
            all(wanted is None or value in wanted for wanted, value in one_of)
            and (self.tag is None or any(tag in self.tag for tag in entry.tags))
            and (self.occurred_after is None or entry.occurred_at >= self.occurred_after)
            and (self.occurred_before is None or entry.occurred_at < self.occurred_before)
        )

    @property
    def is_selective(self) -> bool:
        """Whether the list of its step, or of all, may have others too."""
        rest = self if self.only_step is None else self.model_copy(update={"step_id": None})
        return rest != ErrorFilter()

    @property
    def only_step(self) -> str | None:
        """The step whose list has all of them, if there is one."""
        return self.step_id[0] if self.step_id is not None and len(self.step_id) == 1 else None


class ErrorSelection(Model):
    """Open errors of a flow: by their ids, or all that a filter admits."""

    error_ids: tuple[str, ...] | None = Field(
        default=None, min_length=1, max_length=limits.ERRORS_AT_ONCE
    )
    filter: ErrorFilter | None = Field(default=None, description="`{}` means all open errors.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        need_one(
            self,
            "error_ids",
            "filter",
            remedy="Send errorIds, the ids of errors; or filter, which is {} for all open errors.",
        )
        return self


class Assignment(ErrorSelection):
    """Who deals with errors."""

    assigned_to: Name | None = Field(description="A name or an address; null for nobody.")


class Tagging(ErrorSelection):
    """What errors are tagged with."""

    tags: tuple[Name, ...] = Field(
        max_length=limits.TAGS_OF_AN_ERROR, description="In place of the tags that they have."
    )


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection found."""

    entries: tuple[FailedRecord, ...]
    unknown: tuple[str, ...] = ()
    """Ids of which there is nothing."""
    has_more: bool = False
    """Whether there are more than one request deals with."""


def list_errors(
    context: Context,
    caller: Caller,
    flow_id: str,
    wanted: ErrorFilter,
    *,
    resolved: bool = False,
    limit: int = limits.PAGE_ITEMS,
    cursor: str | None = None,
) -> Listing[FailedRecord]:
    """One page of a flow's open or resolved errors.

    A filter looks at a bounded number of errors: a page may be short and still lead on.
    """
    get_flow(context, caller, flow_id)
    at_once = _PAGE if wanted.is_selective else limit
    found: list[FailedRecord] = []
    looked_at = 0
    while True:
        page = context.failed_records.page(
            caller.workspace_id,
            flow_id,
            resolved=resolved,
            step_id=wanted.only_step,
            limit=at_once,
            cursor=cursor,
        )
        for entry in page.items:
            if len(found) == limit:
                return Listing(tuple(found), encode_cursor(found[-1].list_position))
            if wanted.admits(entry):
                found.append(entry)
        looked_at += len(page.items)
        cursor = page.cursor
        if cursor is None or len(found) == limit or looked_at >= limits.WALKED_ITEMS:
            return Listing(tuple(found), cursor)


def get_error(context: Context, caller: Caller, flow_id: str, error_id: str) -> FailedRecord:
    """One error, open or resolved. Raises NotFoundError."""
    found = context.failed_records.get_many(caller.workspace_id, flow_id, [error_id])
    for entry in found.values():
        return entry
    raise NotFoundError(f"there is no error {error_id!r}")


def get_record(
    context: Context, caller: Caller, flow_id: str, error_id: str
) -> tuple[FailedRecord, Record]:
    """An error and the record that failed. Raises NotFoundError if none was kept."""
    entry = get_error(context, caller, flow_id, error_id)
    if entry.record is None:
        raise NotFoundError(f"no record was kept of error {error_id!r}")
    return entry, KeptRecords(context.blobs).read(entry.record)


def replace_record(
    context: Context,
    caller: Caller,
    flow_id: str,
    error_id: str,
    record: Record,
    revision: int | None,
) -> FailedRecord:
    """Keep another record in place of the one that failed; a retry will take it.

    Raises ConflictError for a resolved error, which is not retried.
    """
    entry = get_error(context, caller, flow_id, error_id)
    check_revision(entry, revision)
    text = json.dumps(record, separators=(",", ":"))
    kept = KeptRecord(inline=text)
    if len(text) > limits.INLINE_RECORD_BYTES:
        owner = f"errors/{caller.workspace_id}/{flow_id}"
        kept = KeptRecord(key=f"{owner}/edited/{context.new_id('rec')}.ndjson.gz")
        context.blobs.put(kept.key or "", encode_page([text.encode()]))

    def change(now: FailedRecord) -> FailedRecord:
        check_revision(now, revision)
        if not now.is_open:
            raise ConflictError(f"error {error_id!r} is resolved; its record stays as it is")
        return now.changed(record=kept, edited_at=context.clock(), edited_by=caller.token_id)

    return context.failed_records.change(caller.workspace_id, flow_id, [error_id], change)[error_id]


def resolve(context: Context, caller: Caller, flow_id: str, which: ErrorSelection) -> Selected:
    """Say of errors that they are dealt with."""
    now = context.clock()
    return _change(
        context,
        caller,
        flow_id,
        which,
        lambda entry: entry.changed(resolved_at=now, resolved_by=caller.token_id),
    )


def assign(context: Context, caller: Caller, flow_id: str, which: Assignment) -> Selected:
    """Say who deals with errors."""
    return _change(
        context,
        caller,
        flow_id,
        which,
        lambda entry: entry.changed(assigned_to=which.assigned_to),
    )


def tag(context: Context, caller: Caller, flow_id: str, which: Tagging) -> Selected:
    """Tag errors."""
    tags = tuple(dict.fromkeys(which.tags))
    return _change(context, caller, flow_id, which, lambda entry: entry.changed(tags=tags))


def select(context: Context, caller: Caller, flow_id: str, which: ErrorSelection) -> Selected:
    """The errors that are selected: by id in whatever state, by filter those that are open."""
    get_flow(context, caller, flow_id)
    if which.error_ids is not None:
        ids = dict.fromkeys(which.error_ids)
        found = context.failed_records.get_many(caller.workspace_id, flow_id, ids)
        unknown = tuple(id_ for id_ in ids if id_ not in found)
        return Selected(tuple(found[id_] for id_ in ids if id_ in found), unknown)
    entries: list[FailedRecord] = []
    for entry in _matching(context, caller, flow_id, which.filter or ErrorFilter()):
        if len(entries) == limits.ERRORS_AT_ONCE:
            return Selected(tuple(entries), has_more=True)
        entries.append(entry)
    return Selected(tuple(entries))


class KeptRecords:
    """Reads records that were kept; those of one object in a row read it once."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._key: str | None = None
        self._lines: list[str] = []

    def read(self, kept: KeptRecord) -> Record:
        """A record. Raises NotFoundError if the bucket has it no more."""
        if kept.key is None:
            text = kept.inline or ""
        else:
            if kept.key != self._key:
                self._lines = gzip.decompress(self._blobs.get(kept.key)).decode().split("\n")
                self._key = kept.key
            text = self._lines[kept.line]
        record: Record = json.loads(text)
        return record


def _matching(
    context: Context, caller: Caller, flow_id: str, wanted: ErrorFilter
) -> Iterator[FailedRecord]:
    cursor: str | None = None
    while True:
        page = context.failed_records.page(
            caller.workspace_id, flow_id, step_id=wanted.only_step, limit=_PAGE, cursor=cursor
        )
        yield from filter(wanted.admits, page.items)
        cursor = page.cursor
        if cursor is None:
            return


def _change(
    context: Context,
    caller: Caller,
    flow_id: str,
    which: ErrorSelection,
    change: Callable[[FailedRecord], FailedRecord],
) -> Selected:
    """Change the errors of a selection that are open; gives those that are changed."""
    selected = select(context, caller, flow_id, which)
    changed = context.failed_records.change(
        caller.workspace_id,
        flow_id,
        [entry.id for entry in selected.entries if entry.is_open],
        lambda entry: change(entry) if entry.is_open else entry,
    )
    return Selected(tuple(changed.values()), selected.unknown, selected.has_more)

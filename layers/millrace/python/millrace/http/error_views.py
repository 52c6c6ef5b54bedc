"""What is answered of record errors."""

from collections import Counter
from typing import Self

from pydantic import Field

from millrace.domain.base import Model
from millrace.domain.failed_record import FailedRecord
from millrace.usecases.record_errors import Selected
from millrace.usecases.resources import fields_of
from millrace.usecases.retry_errors import Reason, Retried


class RecordErrorView(FailedRecord):
    """A record error; the record itself has a route of its own."""

    record: None = Field(default=None, exclude=True)
    retriable: bool = Field(description="Whether it can be tried again.")

    @classmethod
    def of(cls, entry: FailedRecord) -> Self:
        """The view of an error."""
        fields = fields_of(entry, FailedRecord) | {"record": None}
        return cls(**fields, retriable=entry.is_open and entry.record is not None)


class Changed(Model):
    """What became of a selection of errors."""

    changed: int
    unknown: tuple[str, ...] = Field(description="Ids of which there is nothing.")
    has_more: bool = Field(description="Whether there are more; send the request again.")

    @classmethod
    def of(cls, selected: Selected) -> Self:
        """The view of a selection."""
        return cls(
            changed=len(selected.entries), unknown=selected.unknown, has_more=selected.has_more
        )


class RetryRun(Model):
    """A run that tries errors of one step again."""

    run_id: str
    step_id: str
    version_id: str
    errors: int


class LeftOut(Model):
    """An error that is not tried again."""

    error_id: str
    reason: Reason


class RetriedView(Model):
    """The runs that try errors again, and what is not tried."""

    runs: tuple[RetryRun, ...]
    left_out: tuple[LeftOut, ...]
    unknown: tuple[str, ...] = Field(description="Ids of which there is nothing.")
    has_more: bool = Field(description="Whether there are more; send the request again.")

    @classmethod
    def of(cls, retried: Retried) -> Self:
        """The view of what was started."""
        sizes = Counter(run.id for run in retried.runs.values())
        runs = {run.id: run for run in retried.runs.values()}
        return cls(
            runs=tuple(
                RetryRun(
                    run_id=run.id,
                    step_id="" if run.replay is None else run.replay.step_id,
                    version_id=run.version_id,
                    errors=sizes[run.id],
                )
                for run in runs.values()
            ),
            left_out=tuple(
                LeftOut(error_id=id_, reason=reason) for id_, reason in retried.left_out.items()
            ),
            unknown=retried.unknown,
            has_more=retried.has_more,
        )

"""Delta exports: how far each export of a flow has read, so that the next run reads what is new.

    what a run reads:  (lastExportDateTime, currentExportDateTime]
    first run:         (start,              when the export began]
    the next one:      (that time,          when it began itself]

A window is fixed when the export begins and kept with its step, so that a try that takes over asks
for the same. It becomes the flow's mark when the run has succeeded.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Literal, Self

from pydantic import Field

from millrace import limits
from millrace.domain.base import Json, Model, Moment, Whole, rfc3339
from millrace.domain.resource import Resource

type DeltaFormat = Literal["rfc3339", "date", "epochSeconds", "epochMilliseconds"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

NO_ENVIRONMENT: Final = "main"
"""The id of the marks of runs in no virtual environment."""

_MILLISECOND: Final = timedelta(milliseconds=1)


class Delta(Model):
    """How an export asks for what has changed since it was last read."""

    start: Moment = Field(default=EPOCH, description="lastExportDateTime of the first run.")
    format: DeltaFormat = Field(
        default="rfc3339", description="Of both times; JSONata's functions make others."
    )
    lag_minutes: Whole = Field(
        default=0,
        ge=0,
        le=limits.DELTA_LAG_MINUTES,
        description="How much further back to read, for what the system writes late.",
    )


class DeltaWindow(Model):
    """What one export reads in one run."""

    start: Moment
    end: Moment
    format: DeltaFormat
    began_at: Moment
    advances: bool = Field(default=True, description="Whether success moves the flow's mark.")

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to ask for."""
        return self.end <= self.start

    @property
    def values(self) -> dict[str, Json]:
        """What expressions see of it."""
        return {
            "lastExportDateTime": _written(self.start, self.format),
            "currentExportDateTime": _written(self.end, self.format),
        }


class DeltaMark(Model):
    """How far one export of a flow has read."""

    last_export_date_time: Moment | None = Field(
        default=None, description="null: it begins from the start again."
    )
    run_id: str | None = Field(default=None, description="The run that read so far.")
    set_at: Moment | None = Field(
        default=None, description="When somebody set it; runs that began before leave it alone."
    )

    def moved(self, window: DeltaWindow, run_id: str) -> Self:
        """The mark after a run that succeeded; never further back."""
        last = self.last_export_date_time
        is_stale = self.set_at is not None and window.began_at <= self.set_at
        if is_stale or (last is not None and window.end <= last):
            return self
        return self.model_copy(update={"last_export_date_time": window.end, "run_id": run_id})


class DeltaMarks(Resource):
    """How far the exports of a flow have read, in one virtual environment or in none."""

    prefix: ClassVar[str] = "delta"

    marks: dict[str, DeltaMark] = Field(description="By step.")

    def moved(self, windows: Mapping[str, DeltaWindow], run_id: str) -> dict[str, DeltaMark]:
        """The marks after a run that succeeded."""
        moved = dict(self.marks)
        for step_id, window in windows.items():
            mark = moved.get(step_id)
            moved[step_id] = (
                DeltaMark(last_export_date_time=window.end, run_id=run_id)
                if mark is None
                else mark.moved(window, run_id)
            )
        return moved


def _written(moment: datetime, form: DeltaFormat) -> Json:
    match form:
        case "rfc3339":
            return rfc3339(moment)
        case "date":
            return moment.date().isoformat()
        case "epochSeconds":
            return (moment - EPOCH) // timedelta(seconds=1)
        case "epochMilliseconds":
            return (moment - EPOCH) // _MILLISECOND

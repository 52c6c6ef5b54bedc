"""What lists of runs and of their record errors are asked for."""

from dataclasses import replace
from typing import Any, Final, cast, get_args

from pydantic import Field, field_validator

from millrace import limits
from millrace.domain.base import Moment
from millrace.domain.failed_record import Classification, ErrorSource
from millrace.domain.run import RunFilter, RunStatus, TriggerSource
from millrace.http.queries import PagedQuery
from millrace.http.query_values import check_choice, different, listed, parameter, refuse_many

_SOURCES: Final = get_args(ErrorSource)


class FlowRunsQuery(PagedQuery):
    """A list of a flow's runs."""

    filter_status: str | None = parameter("filter[status]", "Only those of one of these statuses.")
    filter_trigger_source: str | None = parameter(
        "filter[triggerSource]", "Only those that one of these started."
    )
    filter_created_after: Moment | None = Field(
        default=None, alias="filter[createdAfter]", description="Created then or later."
    )
    filter_created_before: Moment | None = Field(
        default=None, alias="filter[createdBefore]", description="Created earlier than that."
    )

    @field_validator("filter_status")
    @classmethod
    def _statuses(cls, values: str | None) -> str | None:
        return check_choice(values, [*RunStatus])

    @field_validator("filter_trigger_source")
    @classmethod
    def _sources(cls, values: str | None) -> str | None:
        return check_choice(values, get_args(TriggerSource.__value__))

    @property
    def where(self) -> RunFilter:
        """The runs that are asked for."""
        return RunFilter(
            statuses=tuple(map(RunStatus, different(self.filter_status))),
            trigger_sources=cast(
                "tuple[TriggerSource, ...]", different(self.filter_trigger_source)
            ),
            created_after=self.filter_created_after,
            created_before=self.filter_created_before,
        )


class RunsQuery(FlowRunsQuery):
    """A list of all runs."""

    filter_flow_id: str | None = parameter("filter[flowId]", "Only those of one of these flows.")

    @field_validator("filter_flow_id")
    @classmethod
    def _few_flows(cls, values: str | None) -> str | None:
        refuse_many(values, limits.PAGE_ITEMS_MAX)
        return values

    @property
    def where(self) -> RunFilter:
        """The runs that are asked for."""
        return replace(super().where, flow_ids=different(self.filter_flow_id))


class ErrorsQuery(PagedQuery):
    """A list of record errors."""

    filter_run_id: str | None = parameter("filter[runId]", "Those that failed last in these runs.")
    filter_source: str | None = parameter("filter[source]", f"Any of {', '.join(_SOURCES)}.")
    filter_code: str | None = parameter("filter[code]", "Those of these codes, such as http422.")
    filter_classification: str | None = parameter(
        "filter[classification]", f"Any of {', '.join(Classification)}."
    )
    filter_trace_key: str | None = parameter(
        "filter[traceKey]", "Those of one of these trace keys."
    )
    filter_assigned_to: str | None = parameter(
        "filter[assignedTo]", "Those of one of these people."
    )
    filter_tag: str | None = parameter("filter[tag]", "Those with one of these tags.")
    filter_occurred_after: Moment | None = Field(
        default=None, alias="filter[occurredAfter]", description="From this time on."
    )
    filter_occurred_before: Moment | None = Field(
        default=None, alias="filter[occurredBefore]", description="Before this time."
    )

    @field_validator("filter_source")
    @classmethod
    def _sources(cls, values: str | None) -> str | None:
        return check_choice(values, _SOURCES)

    @field_validator("filter_classification")
    @classmethod
    def _classifications(cls, values: str | None) -> str | None:
        return check_choice(values, [*Classification])

    @property
    def filters(self) -> dict[str, Any]:
        """The values of each filter that is given, by the name of the field of an error."""
        return {
            name.removeprefix("filter_"): listed(value) if isinstance(value, str) else value
            for name, value in self
            if name.startswith("filter_") and value is not None
        }


class FlowErrorsQuery(ErrorsQuery):
    """A list of record errors of all steps of a flow."""

    filter_step_id: str | None = parameter("filter[stepId]", "Those of one of these steps.")

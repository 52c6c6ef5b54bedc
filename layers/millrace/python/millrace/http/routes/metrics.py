"""/v1/flows/{flow_id}/versionMetrics."""

from http import HTTPStatus
from typing import Annotated, Literal, Self

from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.base import Model, Moment
from millrace.domain.errors import NotFoundError
from millrace.domain.metrics import MetricKey, Metrics
from millrace.http.documented import answers
from millrace.http.requests import caller_of
from millrace.http.roles import needs
from millrace.usecases import metrics
from millrace.usecases.context import Context
from millrace.usecases.metrics import Interval, Question

Start = Annotated[
    Moment | None, Query(alias="intervalStart", description="Absent: some 30 units before the end.")
]
End = Annotated[
    Moment | None, Query(alias="intervalEnd", description="Not in it itself; absent: now.")
]
Unit = Annotated[Literal["hour", "day", "week", "month"], Query(alias="intervalUnit")]
ModelType = Annotated[
    Literal["flow", "flowVersion"],
    Query(alias="modelType", description="`flow` leaves out what each version did."),
]
Key = Annotated[str | None, Query(description="One metric to show.")]
Keys = Annotated[
    str | None, Query(description="Metrics to show, with commas between; absent: all.")
]
Companies = Annotated[
    str | None,
    Query(alias="managedCompanies", description="Workspaces; the token's own is the only one."),
]

type Figures = dict[MetricKey, int | float]
"""Counts stay whole numbers in JSON."""


class VersionMetrics(Model):
    """What one version did in an interval."""

    version_id: str
    metrics: Figures


class IntervalMetrics(Model):
    """What ran in one interval, and each version that ran."""

    interval_start: Moment
    interval_end: Moment
    metrics: Figures
    versions: tuple[VersionMetrics, ...]

    @classmethod
    def of(cls, interval: Interval, keys: tuple[MetricKey, ...]) -> Self:
        """The view of an interval."""

        def figures(shown: Metrics) -> Figures:
            return {key: shown.value(key) for key in keys}

        return cls(
            interval_start=interval.start,
            interval_end=interval.end,
            metrics=figures(interval.total),
            versions=tuple(
                VersionMetrics(version_id=id_, metrics=figures(each))
                for id_, each in interval.versions.items()
            ),
        )


class FlowMetrics(Model):
    """The metrics of a flow's runs, interval by interval; those without runs are there too."""

    flow_id: str
    interval_unit: str
    data: tuple[IntervalMetrics, ...]


def metrics_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows/<flow_id>/versionMetrics",
        tags=["runs"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def version_metrics(  # noqa: PLR0913 - one for each parameter of the query
        flow_id: str,
        *,
        start: Start = None,
        end: End = None,
        unit: Unit = "day",
        model_type: ModelType = "flowVersion",
        key: Key = None,
        keys: Keys = None,
        companies: Companies = None,
    ) -> FlowMetrics:
        asked = Question(
            unit=unit,
            start=start,
            end=end,
            keys=",".join(filter(None, (key, keys))),
            workspaces=companies,
            with_versions=model_type == "flowVersion",
        )
        answer = metrics.version_metrics(context, caller_of(router.current_event), flow_id, asked)
        data = tuple(IntervalMetrics.of(each, answer.keys) for each in answer.intervals)
        return FlowMetrics(flow_id=flow_id, interval_unit=unit, data=data)

    return router

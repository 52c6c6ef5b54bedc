"""/v1/runs and /v1/flows/{flow_id}/runs."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import ConflictError, NotFoundError
from millrace.http.documented import answers
from millrace.http.pages import page_answer
from millrace.http.requests import Page, caller_of
from millrace.http.roles import needs
from millrace.http.run_queries import FlowRunsQuery, RunsQuery
from millrace.http.run_views import RunDetailView, RunLog, StepOutput
from millrace.http.views import RunView
from millrace.usecases import runs
from millrace.usecases.context import Context
from millrace.usecases.lifecycle import cancel_run
from millrace.usecases.lists import Part
from millrace.usecases.run_log import run_log


def runs_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    def listed(flow_id: str | None, query: FlowRunsQuery) -> Response[Page[RunView]]:
        event = router.current_event.raw_event
        caller = caller_of(event)
        found = runs.list_runs(context, caller, flow_id, query.per_page, query.cursor, query.where)
        return page_answer(event, query, Part(tuple(map(RunView.of, found.items)), found.cursor))

    @router.get(
        "/v1/runs", tags=["runs"], security=needs("viewer"), responses=answers(HTTPStatus.OK)
    )
    def list_runs(query: Annotated[RunsQuery, Query()]) -> Response[Page[RunView]]:
        return listed(None, query)

    @router.get(
        "/v1/flows/<flow_id>/runs",
        tags=["runs"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_runs_of_flow(
        flow_id: str, query: Annotated[FlowRunsQuery, Query()]
    ) -> Response[Page[RunView]]:
        return listed(flow_id, query)

    @router.get(
        "/v1/runs/<run_id>",
        tags=["runs"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_run(run_id: str) -> RunDetailView:
        detail = runs.get_run(context, caller_of(router.current_event), run_id)
        return RunDetailView.of_detail(detail)

    @router.post(
        "/v1/runs/<run_id>/cancel",
        tags=["runs"],
        security=needs("operator"),
        responses=answers(HTTPStatus.OK, NotFoundError, ConflictError),
    )
    def cancel(run_id: str) -> RunDetailView:
        caller = caller_of(router.current_event)
        cancel_run(context, runs.get_run(context, caller, run_id).run)
        return RunDetailView.of_detail(runs.get_run(context, caller, run_id))

    @router.get(
        "/v1/runs/<run_id>/logs",
        tags=["runs"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_run_log(run_id: str) -> RunLog:
        return RunLog(data=run_log(context, caller_of(router.current_event), run_id))

    @router.get(
        "/v1/runs/<run_id>/steps/<step_id>/output",
        tags=["runs"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_step_output(
        run_id: str, step_id: str, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> StepOutput:
        caller = caller_of(router.current_event)
        data, truncated = runs.step_output(context, caller, run_id, step_id, limit)
        return StepOutput(data=data, truncated=truncated)

    return router

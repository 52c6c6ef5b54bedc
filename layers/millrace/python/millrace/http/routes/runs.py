"""/v1/runs, and starting runs of a flow."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.base import Json, Model
from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.ports import Listing
from millrace.http.body import JSON
from millrace.http.documented import WITH_BODY, answers
from millrace.http.idempotency import dedupe_key
from millrace.http.requests import Cursor, Limit, Page, caller_of, page
from millrace.http.views import RunDetailView, RunView, StartedRun, StepOutput
from millrace.usecases import runs
from millrace.usecases.context import Context


class RunRequest(Model):
    """How to run a flow."""

    payload: Json = None


def runs_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.post(
        "/v1/flows/<flow_id>/run",
        tags=["runs"],
        responses=answers(HTTPStatus.ACCEPTED, *WITH_BODY, NotFoundError, ConflictError),
    )
    def run_flow(flow_id: str, given: RunRequest | None = None) -> Response[StartedRun]:
        payload = None if given is None else given.payload
        event = router.current_event
        run = runs.run_flow(context, caller_of(event), flow_id, payload, dedupe_key(event))
        return Response(
            status_code=HTTPStatus.ACCEPTED,
            content_type=JSON,
            body=StartedRun(run_id=run.id, status=run.status),
            headers={"Location": f"/v1/runs/{run.id}"},
        )

    @router.get(
        "/v1/flows/<flow_id>/runs",
        tags=["runs"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_runs(flow_id: str, per_page: Limit = 25, cursor: Cursor = None) -> Page[RunView]:
        caller = caller_of(router.current_event)
        listing = runs.list_runs(context, caller, flow_id, per_page, cursor)
        views = tuple(RunView.of(run) for run in listing.items)
        return page(f"/v1/flows/{flow_id}/runs", Listing(views, listing.cursor), per_page)

    @router.get(
        "/v1/runs/<run_id>",
        tags=["runs"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_run(run_id: str) -> RunDetailView:
        detail = runs.get_run(context, caller_of(router.current_event), run_id)
        return RunDetailView.of_detail(detail)

    @router.get(
        "/v1/runs/<run_id>/steps/<step_id>/output",
        tags=["runs"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_step_output(
        run_id: str, step_id: str, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> StepOutput:
        caller = caller_of(router.current_event)
        data, truncated = runs.step_output(context, caller, run_id, step_id, limit)
        return StepOutput(data=data, truncated=truncated)

    return router

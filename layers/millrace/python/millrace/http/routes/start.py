"""Starting runs of a flow: /run, /start and /manual, and again: /v1/runs/{run_id}/retry."""

import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any, Final

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.errors import ConflictError, NotFoundError, QueueFullError, UnavailableError
from millrace.domain.trace_context import Trace
from millrace.http.body import JSON
from millrace.http.documented import WITH_BODY, answers
from millrace.http.idempotency import dedupe_key
from millrace.http.requests import caller_of
from millrace.http.roles import needs
from millrace.http.run_views import RunDetailView, StartedRun
from millrace.usecases import run_flow, runs
from millrace.usecases.context import Context
from millrace.usecases.flows import get_version
from millrace.usecases.retry_run import RetryRequest, retry_run
from millrace.usecases.run_flow import RunRequest
from millrace.usecases.waiting import wait_for

Started = Response[StartedRun | RunDetailView]
Payload = Annotated[Json, Body(description="The payload itself.")]
Prefer = Annotated[
    str | None,
    Header(description="`wait=10` answers the run once it is over, if that is within 10 s."),
]

_WAIT: Final = re.compile(r"\bwait\s*=\s*\"?(\d{1,6})\b")
_RETRIED: Final = answers(
    HTTPStatus.ACCEPTED, *WITH_BODY, NotFoundError, ConflictError, QueueFullError
)
_STARTED: Final = answers(HTTPStatus.OK) | _RETRIED
_PLACES: Final = ("run", "start", "manual")
_PLACES_OF_A_VERSION: Final = ("start", "manual")
_PAST_THE_LINE: Final = "manual"
"""It starts what the others would let wait for a slot."""


def _trace(event: Mapping[str, Any]) -> Trace:
    return Trace.received({name.lower(): text for name, text in event["headers"].items()})


def start_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.post(
        "/v1/runs/<run_id>/retry", tags=["runs"], security=needs("operator"), responses=_RETRIED
    )
    def retry(run_id: str, given: RetryRequest | None = None) -> Response[StartedRun]:
        event = router.current_event
        asked = given or RetryRequest()
        caller = caller_of(event)
        run = retry_run(context, caller, run_id, asked, dedupe_key(event), _trace(event))
        told = StartedRun(run_id=run.id, status=run.status)
        headers = {"Location": f"/v1/runs/{run.id}"}
        return Response(HTTPStatus.ACCEPTED.value, JSON, body=told, headers=headers)

    # Before the routes of a version, which would take "raw" for one.
    @router.post(
        "/v1/flows/<flow_id>/start/raw",
        tags=["runs"],
        security=needs("operator"),
        responses=_STARTED,
    )
    def start_raw(flow_id: str, payload: Payload = None, prefer: Prefer = None) -> Started:
        asked = RunRequest(payload=payload)
        return _start(context, router.current_event, flow_id, asked, prefer, goes_past=False)

    for place in _PLACES:
        _add_routes(router, context, place)
    return router


def _add_routes(router: APIGatewayHttpRouter, context: Context, place: str) -> None:
    goes_past = place == _PAST_THE_LINE

    @router.post(
        f"/v1/flows/<flow_id>/{place}",
        tags=["runs"],
        security=needs("operator"),
        operation_id=f"{place}_flow",
        responses=_STARTED,
    )
    def start_deployed(
        flow_id: str, given: RunRequest | None = None, prefer: Prefer = None
    ) -> Started:
        asked = given or RunRequest()
        return _start(context, router.current_event, flow_id, asked, prefer, goes_past=goes_past)

    if place not in _PLACES_OF_A_VERSION:
        return

    @router.post(
        f"/v1/flows/<flow_id>/{place}/<version_id>",
        tags=["runs"],
        security=needs("operator"),
        operation_id=f"{place}_version",
        responses=_STARTED,
    )
    def start_version(
        flow_id: str, version_id: str, given: RunRequest | None = None, prefer: Prefer = None
    ) -> Started:
        event = router.current_event
        # A version that is not there is 404 in the address, 422 in the body.
        get_version(context, caller_of(event), flow_id, version_id)
        asked = (given or RunRequest()).model_copy(update={"version_id": version_id})
        return _start(context, event, flow_id, asked, prefer, goes_past=goes_past)


def _start(
    context: Context,
    event: Mapping[str, Any],
    flow_id: str,
    asked: RunRequest,
    prefer: str | None,
    *,
    goes_past: bool,
) -> Started:
    caller = caller_of(event)
    run = run_flow.run_flow(
        context, caller, flow_id, asked, dedupe_key(event), _trace(event), goes_past=goes_past
    )
    headers = {"Location": f"/v1/runs/{run.id}"}
    preferred = _WAIT.search(prefer or "")
    wait = asked.wait or 0
    if preferred is not None:
        wait = min(int(preferred[1]), limits.RUN_WAIT_SECONDS)
        headers["Preference-Applied"] = f"wait={wait}"
    with suppress(UnavailableError):  # who is told that it failed would start another one
        if wait_for(context, run, wait).status.is_terminal:
            detail = RunDetailView.of_detail(runs.get_run(context, caller, run.id))
            return Response(HTTPStatus.OK.value, JSON, body=detail, headers=headers)
    told = StartedRun(run_id=run.id, status=run.status)
    return Response(HTTPStatus.ACCEPTED.value, JSON, body=told, headers=headers)

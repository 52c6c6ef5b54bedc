"""Tests of flows and steps, and their results: /v1/flows/{flow_id}/testExecutionResults."""

from http import HTTPStatus
from typing import Final

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.ports import Listing
from millrace.http.documented import WITH_BODY, answers
from millrace.http.requests import Cursor, Limit, Page, caller_of, page
from millrace.http.trial_views import TrialSummary, TrialView
from millrace.usecases import trial_results, trials
from millrace.usecases.context import Context
from millrace.usecases.trials import StepTrialRequest, TrialRequest

_TESTED: Final = answers(HTTPStatus.OK, *WITH_BODY, NotFoundError, ConflictError)
_FOUND: Final = answers(HTTPStatus.OK, NotFoundError)


def trials_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.post("/v1/flows/<flow_id>/test", tags=["tests"], responses=_TESTED)
    def test_flow(flow_id: str, given: TrialRequest | None = None) -> TrialView:
        caller = caller_of(router.current_event)
        return TrialView.of(trials.try_flow(context, caller, flow_id, given or TrialRequest()))

    @router.post("/v1/flows/<flow_id>/steps/<step_id>/test", tags=["tests"], responses=_TESTED)
    def test_step(flow_id: str, step_id: str, given: StepTrialRequest | None = None) -> TrialView:
        caller = caller_of(router.current_event)
        asked = given or StepTrialRequest()
        return TrialView.of(trials.try_step(context, caller, flow_id, step_id, asked))

    @router.get("/v1/flows/<flow_id>/testExecutionResults", tags=["tests"], responses=_FOUND)
    def list_test_results(
        flow_id: str, per_page: Limit = 25, cursor: Cursor = None
    ) -> Page[TrialSummary]:
        caller = caller_of(router.current_event)
        listing = trial_results.list_trials(context, caller, flow_id, per_page, cursor)
        told = tuple(TrialSummary.of(trial) for trial in listing.items)
        path = f"/v1/flows/{flow_id}/testExecutionResults"
        return page(path, Listing(told, listing.cursor), per_page)

    @router.get(
        "/v1/flows/<flow_id>/testExecutionResults/<test_id>", tags=["tests"], responses=_FOUND
    )
    def get_test_result(flow_id: str, test_id: str) -> TrialView:
        caller = caller_of(router.current_event)
        return TrialView.of(trial_results.get_trial(context, caller, flow_id, test_id))

    return router

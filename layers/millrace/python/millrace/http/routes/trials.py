"""Tests of flows and steps, and their results: /v1/flows/{flow_id}/testExecutionResults."""

from http import HTTPStatus
from typing import Annotated, Final

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import ConflictError, NotFoundError
from millrace.http.documented import WITH_BODY, answers
from millrace.http.pages import page_answer
from millrace.http.queries import PagedQuery
from millrace.http.requests import Page, caller_of
from millrace.http.roles import needs
from millrace.http.trial_views import TrialSummary, TrialView
from millrace.usecases import trial_results, trials
from millrace.usecases.context import Context
from millrace.usecases.lists import Part
from millrace.usecases.trials import StepTrialRequest, TrialRequest

_TESTED: Final = answers(HTTPStatus.OK, *WITH_BODY, NotFoundError, ConflictError)
_FOUND: Final = answers(HTTPStatus.OK, NotFoundError)


def trials_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.post(
        "/v1/flows/<flow_id>/test", tags=["tests"], security=needs("operator"), responses=_TESTED
    )
    def test_flow(flow_id: str, given: TrialRequest | None = None) -> TrialView:
        caller = caller_of(router.current_event)
        return TrialView.of(trials.try_flow(context, caller, flow_id, given or TrialRequest()))

    @router.post(
        "/v1/flows/<flow_id>/steps/<step_id>/test",
        tags=["tests"],
        security=needs("operator"),
        responses=_TESTED,
    )
    def test_step(flow_id: str, step_id: str, given: StepTrialRequest | None = None) -> TrialView:
        caller = caller_of(router.current_event)
        asked = given or StepTrialRequest()
        return TrialView.of(trials.try_step(context, caller, flow_id, step_id, asked))

    @router.get(
        "/v1/flows/<flow_id>/testExecutionResults",
        tags=["tests"],
        security=needs("viewer"),
        responses=_FOUND,
    )
    def list_test_results(
        flow_id: str, query: Annotated[PagedQuery, Query()]
    ) -> Response[Page[TrialSummary]]:
        event = router.current_event.raw_event
        caller = caller_of(event)
        found = trial_results.list_trials(context, caller, flow_id, query.per_page, query.cursor)
        told = tuple(map(TrialSummary.of, found.items))
        return page_answer(event, query, Part(told, found.cursor))

    @router.get(
        "/v1/flows/<flow_id>/testExecutionResults/<test_id>",
        tags=["tests"],
        security=needs("viewer"),
        responses=_FOUND,
    )
    def get_test_result(flow_id: str, test_id: str) -> TrialView:
        caller = caller_of(router.current_event)
        return TrialView.of(trial_results.get_trial(context, caller, flow_id, test_id))

    return router

"""/v1/flows, as far as it only reads."""

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import NotFoundError, TooLargeError
from millrace.domain.flow import Flow
from millrace.http.documented import answers
from millrace.http.pages import link_header, links_of
from millrace.http.queries import FlowShown, FlowsQuery, asked_by
from millrace.http.requests import Page, caller_of, etag_of
from millrace.http.roles import needs
from millrace.http.shown import ShownFlow, chosen_answer, list_answer, show
from millrace.http.views import FlowDetail
from millrace.usecases import flow_lists, flows
from millrace.usecases.context import Context
from millrace.usecases.includes.include import include_in_flow, include_in_flows


def flows_router(context: Context) -> APIGatewayHttpRouter:
    """The routes that show flows."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows",
        tags=["flows"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, TooLargeError, shows=Page[ShownFlow]),
    )
    def list_flows(query: Annotated[FlowsQuery, Query()]) -> Response[Any]:
        event = router.current_event.raw_event
        caller = caller_of(event)
        part = flow_lists.list_flows(context, asked_by(query, Flow, caller), query.filters)
        nodes = include_in_flows(context, caller, part.items, query.included)
        links, meta = links_of(event, query, part)
        shown = [show(node, caller, query.chosen) for node in nodes]
        return list_answer(shown, links, meta, link_header(links))

    @router.get(
        "/v1/flows/<flow_id>",
        tags=["flows"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError, TooLargeError, shows=ShownFlow),
    )
    def get_flow(flow_id: str, query: Annotated[FlowShown, Query()]) -> Response[Any]:
        event = router.current_event.raw_event
        caller = caller_of(event)
        flow, steps = flows.get_flow_with_steps(context, caller, flow_id)
        node = include_in_flow(context, caller, flow, query.included)
        view = FlowDetail.with_steps(flow, steps, caller)
        return chosen_answer(show(node, caller, query.chosen, view), etag_of(flow))

    return router

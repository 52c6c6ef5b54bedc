"""/v1/flows."""

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import ConflictError, NotFoundError, TooLargeError
from millrace.domain.flow import Flow, FlowInput
from millrace.domain.patch import Patch
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.pages import link_header, links_of
from millrace.http.queries import FlowShown, FlowsQuery, asked_by
from millrace.http.requests import IfMatch, Page, answer, caller_of, etag_of, revision_of
from millrace.http.sent_back import FlowChange
from millrace.http.shown import ShownFlow, chosen_answer, list_answer, show
from millrace.http.views import FlowDetail
from millrace.usecases import deploy, flow_lists, flows, patch
from millrace.usecases.context import Context
from millrace.usecases.includes.include import include_in_flow, include_in_flows


def flows_router(context: Context) -> APIGatewayHttpRouter:
    """The routes of flows."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows",
        tags=["flows"],
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

    @router.post(
        "/v1/flows",
        tags=["flows"],
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, ConflictError),
    )
    def create_flow(given: FlowInput) -> Response[FlowDetail]:
        caller = caller_of(router.current_event)
        flow, steps = flows.create_flow(context, caller, given)
        return answer(FlowDetail.with_steps(flow, steps, caller), flow, HTTPStatus.CREATED)

    @router.get(
        "/v1/flows/<flow_id>",
        tags=["flows"],
        responses=answers(HTTPStatus.OK, NotFoundError, TooLargeError, shows=ShownFlow),
    )
    def get_flow(flow_id: str, query: Annotated[FlowShown, Query()]) -> Response[Any]:
        event = router.current_event.raw_event
        caller = caller_of(event)
        flow, steps = flows.get_flow_with_steps(context, caller, flow_id)
        node = include_in_flow(context, caller, flow, query.included)
        view = FlowDetail.with_steps(flow, steps, caller)
        return chosen_answer(show(node, caller, query.chosen, view), etag_of(flow))

    @router.put(
        "/v1/flows/<flow_id>",
        tags=["flows"],
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def replace_flow(
        flow_id: str, given: FlowChange, if_match: IfMatch = None
    ) -> Response[FlowDetail]:
        caller = caller_of(router.current_event)
        flow, steps = flows.replace_flow(context, caller, flow_id, given, revision_of(if_match))
        deploy.sync_schedule(context, flow)
        return answer(FlowDetail.with_steps(flow, steps, caller), flow)

    @router.patch(
        "/v1/flows/<flow_id>",
        tags=["flows"],
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def patch_flow(flow_id: str, given: Patch, if_match: IfMatch = None) -> Response[FlowDetail]:
        caller = caller_of(router.current_event)
        flow, steps = patch.patch_flow(context, caller, flow_id, given.root, revision_of(if_match))
        deploy.sync_schedule(context, flow)
        return answer(FlowDetail.with_steps(flow, steps, caller), flow)

    @router.delete(
        "/v1/flows/<flow_id>",
        tags=["flows"],
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH, ConflictError),
    )
    def delete_flow(flow_id: str, if_match: IfMatch = None) -> Response[None]:
        caller = caller_of(router.current_event)
        flows.delete_flow(context, caller, flow_id, revision_of(if_match))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router

"""/v1/flows."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace import limits
from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.flow import FlowInput
from millrace.domain.patch import Patch
from millrace.domain.ports import Listing
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.requests import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    answer,
    caller_of,
    page,
    revision_of,
)
from millrace.http.views import FlowDetail, FlowView
from millrace.usecases import deploy, flows, patch
from millrace.usecases.context import Context

StableKeyFilter = Annotated[
    str | None,
    Query(
        alias="filter[stableKey]",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=2 * limits.STABLE_KEY_LENGTH + 1,
        description="Only the flow of this key; in an integration, `integration/key`.",
    ),
]


def flows_router(context: Context) -> APIGatewayHttpRouter:
    """The routes of flows."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows",
        tags=["flows"],
        responses=answers(HTTPStatus.OK),
    )
    def list_flows(
        per_page: Limit = 25, cursor: Cursor = None, stable_key: StableKeyFilter = None
    ) -> Page[FlowView]:
        caller = caller_of(router.current_event)
        listing = flows.list_flows(context, caller, per_page, cursor, stable_key)
        views = tuple(FlowView.of(flow, caller) for flow in listing.items)
        return page("/v1/flows", Listing(views, listing.cursor), per_page)

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
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_flow(flow_id: str) -> Response[FlowDetail]:
        caller = caller_of(router.current_event)
        flow, steps = flows.get_flow_with_steps(context, caller, flow_id)
        return answer(FlowDetail.with_steps(flow, steps, caller), flow)

    @router.put(
        "/v1/flows/<flow_id>",
        tags=["flows"],
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def replace_flow(
        flow_id: str, given: FlowInput, if_match: IfMatch = None
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

"""/v1/flows, as far as it changes them."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import ConflictError
from millrace.domain.flow import FlowInput
from millrace.domain.patch import Patch
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.requests import IfMatch, answer, caller_of, revision_of
from millrace.http.roles import needs
from millrace.http.sent_back import FlowChange
from millrace.http.views import FlowDetail
from millrace.usecases import flow_changes, patch, trigger_sync
from millrace.usecases.context import Context


def flow_changes_router(context: Context) -> APIGatewayHttpRouter:
    """The routes that change flows."""
    router = APIGatewayHttpRouter()

    @router.post(
        "/v1/flows",
        tags=["flows"],
        security=needs("editor"),
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, ConflictError),
    )
    def create_flow(given: FlowInput) -> Response[FlowDetail]:
        caller = caller_of(router.current_event)
        flow, steps = flow_changes.create_flow(context, caller, given)
        return answer(FlowDetail.with_steps(flow, steps, caller), flow, HTTPStatus.CREATED)

    @router.put(
        "/v1/flows/<flow_id>",
        tags=["flows"],
        security=needs("editor"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def replace_flow(
        flow_id: str, given: FlowChange, if_match: IfMatch = None
    ) -> Response[FlowDetail]:
        caller = caller_of(router.current_event)
        flow, steps = flow_changes.replace_flow(
            context, caller, flow_id, given, revision_of(if_match)
        )
        trigger_sync.resync_triggers(context, flow)
        return answer(FlowDetail.with_steps(flow, steps, caller), flow)

    @router.patch(
        "/v1/flows/<flow_id>",
        tags=["flows"],
        security=needs("editor"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def patch_flow(flow_id: str, given: Patch, if_match: IfMatch = None) -> Response[FlowDetail]:
        caller = caller_of(router.current_event)
        flow, steps = patch.patch_flow(context, caller, flow_id, given.root, revision_of(if_match))
        trigger_sync.resync_triggers(context, flow)
        return answer(FlowDetail.with_steps(flow, steps, caller), flow)

    @router.delete(
        "/v1/flows/<flow_id>",
        tags=["flows"],
        security=needs("editor"),
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH, ConflictError),
    )
    def delete_flow(flow_id: str, if_match: IfMatch = None) -> Response[None]:
        caller = caller_of(router.current_event)
        flow_changes.delete_flow(context, caller, flow_id, revision_of(if_match))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router

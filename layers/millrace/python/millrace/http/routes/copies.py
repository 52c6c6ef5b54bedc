"""Copies of a flow, and a flow over another connection."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.base import Model
from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.flow_parts import LayoutDirection
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.requests import IfMatch, answer, caller_of, revision_of
from millrace.http.roles import needs
from millrace.http.views import FlowView
from millrace.usecases import copies
from millrace.usecases.context import Context
from millrace.usecases.copies import CloneRequest, Copied, DuplicateRequest
from millrace.usecases.flow_changes import set_layout_direction
from millrace.usecases.replace_connection import ConnectionReplacement, replace_connection


class Layout(Model):
    """In which direction a flow is drawn; absent: in the other one."""

    layout_direction: LayoutDirection


def copies_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.post(
        "/v1/flows/<flow_id>/clone",
        tags=["flows"],
        security=needs("editor"),
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, NotFoundError, ConflictError),
    )
    def clone_flow(flow_id: str, given: CloneRequest) -> Response[Copied]:
        caller = caller_of(router.current_event)
        copied = copies.clone_flow(context, caller, flow_id, given)
        return answer(copied, status=HTTPStatus.CREATED)

    @router.post(
        "/v1/flows/<flow_id>/duplicate",
        tags=["flows"],
        security=needs("editor"),
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, NotFoundError, ConflictError),
    )
    def duplicate_flow(flow_id: str, given: DuplicateRequest | None = None) -> Response[Copied]:
        caller = caller_of(router.current_event)
        copied = copies.duplicate_flow(context, caller, flow_id, given or DuplicateRequest())
        return answer(copied, status=HTTPStatus.CREATED)

    @router.put(
        "/v1/flows/<flow_id>/replaceConnection",
        tags=["flows"],
        security=needs("editor"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def put_connection(
        flow_id: str, given: ConnectionReplacement, if_match: IfMatch = None
    ) -> Response[FlowView]:
        caller = caller_of(router.current_event)
        flow = replace_connection(context, caller, flow_id, given, revision_of(if_match))
        return answer(FlowView.of(flow, caller), flow)

    @router.patch(
        "/v1/flows/<flow_id>/layoutDirection",
        tags=["flows"],
        security=needs("editor"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH),
    )
    def patch_layout(
        flow_id: str, given: Layout | None = None, if_match: IfMatch = None
    ) -> Response[FlowView]:
        caller = caller_of(router.current_event)
        direction = None if given is None else given.layout_direction
        flow = set_layout_direction(context, caller, flow_id, direction, revision_of(if_match))
        return answer(FlowView.of(flow, caller), flow)

    return router

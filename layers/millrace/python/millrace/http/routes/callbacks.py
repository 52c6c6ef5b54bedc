"""/v1/flows/{flowId}/callbacks."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.callback import Callback, CallbackInput
from millrace.domain.errors import ConflictError, NotFoundError
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
from millrace.usecases import callbacks
from millrace.usecases.context import Context


def callbacks_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows/<flow_id>/callbacks",
        tags=["callbacks"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_callbacks(flow_id: str, per_page: Limit = 25, cursor: Cursor = None) -> Page[Callback]:
        caller = caller_of(router.current_event)
        listing = callbacks.list_callbacks(context, caller, flow_id, per_page, cursor)
        return page(f"/v1/flows/{flow_id}/callbacks", listing, per_page)

    @router.post(
        "/v1/flows/<flow_id>/callbacks",
        tags=["callbacks"],
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, NotFoundError, ConflictError),
    )
    def create_callback(flow_id: str, given: CallbackInput) -> Response[Callback]:
        caller = caller_of(router.current_event)
        callback = callbacks.create_callback(context, caller, flow_id, given)
        return answer(callback, callback, HTTPStatus.CREATED)

    @router.get(
        "/v1/flows/<flow_id>/callbacks/<callback_id>",
        tags=["callbacks"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_callback(flow_id: str, callback_id: str) -> Response[Callback]:
        caller = caller_of(router.current_event)
        callback = callbacks.get_callback(context, caller, flow_id, callback_id)
        return answer(callback, callback)

    @router.put(
        "/v1/flows/<flow_id>/callbacks/<callback_id>",
        tags=["callbacks"],
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def replace_callback(
        flow_id: str, callback_id: str, given: CallbackInput, if_match: IfMatch = None
    ) -> Response[Callback]:
        caller = caller_of(router.current_event)
        revision = revision_of(if_match)
        callback = callbacks.replace_callback(
            context, caller, flow_id, callback_id, given, revision
        )
        return answer(callback, callback)

    @router.delete(
        "/v1/flows/<flow_id>/callbacks/<callback_id>",
        tags=["callbacks"],
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH),
    )
    def delete_callback(flow_id: str, callback_id: str, if_match: IfMatch = None) -> Response[None]:
        caller = caller_of(router.current_event)
        callbacks.delete_callback(context, caller, flow_id, callback_id, revision_of(if_match))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router

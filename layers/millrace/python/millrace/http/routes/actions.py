"""/v1/actions."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.action import Action, ActionInput
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
from millrace.usecases import actions
from millrace.usecases.context import Context


def actions_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/actions",
        tags=["actions"],
        responses=answers(HTTPStatus.OK),
    )
    def list_actions(per_page: Limit = 25, cursor: Cursor = None) -> Page[Action]:
        listing = actions.list_actions(context, caller_of(router.current_event), per_page, cursor)
        return page("/v1/actions", listing, per_page)

    @router.post(
        "/v1/actions",
        tags=["actions"],
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, ConflictError),
    )
    def create_action(given: ActionInput) -> Response[Action]:
        action = actions.create_action(context, caller_of(router.current_event), given)
        return answer(action, action, HTTPStatus.CREATED)

    @router.get(
        "/v1/actions/<action_id>",
        tags=["actions"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_action(action_id: str) -> Response[Action]:
        action = actions.get_action(context, caller_of(router.current_event), action_id)
        return answer(action, action)

    @router.put(
        "/v1/actions/<action_id>",
        tags=["actions"],
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def replace_action(
        action_id: str, given: ActionInput, if_match: IfMatch = None
    ) -> Response[Action]:
        caller = caller_of(router.current_event)
        revision = revision_of(if_match)
        action = actions.replace_action(context, caller, action_id, given, revision)
        return answer(action, action)

    @router.delete(
        "/v1/actions/<action_id>",
        tags=["actions"],
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH),
    )
    def delete_action(action_id: str, if_match: IfMatch = None) -> Response[None]:
        caller = caller_of(router.current_event)
        actions.delete_action(context, caller, action_id, revision_of(if_match))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router

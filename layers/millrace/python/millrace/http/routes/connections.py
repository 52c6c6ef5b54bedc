"""/v1/connections."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.connection import Connection, ConnectionInput
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
from millrace.usecases import connections
from millrace.usecases.context import Context


def connections_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/connections",
        tags=["connections"],
        responses=answers(HTTPStatus.OK),
    )
    def list_connections(per_page: Limit = 25, cursor: Cursor = None) -> Page[Connection]:
        listing = connections.list_connections(
            context, caller_of(router.current_event), per_page, cursor
        )
        return page("/v1/connections", listing, per_page)

    @router.post(
        "/v1/connections",
        tags=["connections"],
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, ConflictError),
    )
    def create_connection(given: ConnectionInput) -> Response[Connection]:
        connection = connections.create_connection(context, caller_of(router.current_event), given)
        return answer(connection, connection, HTTPStatus.CREATED)

    @router.get(
        "/v1/connections/<connection_id>",
        tags=["connections"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_connection(connection_id: str) -> Response[Connection]:
        connection = connections.get_connection(
            context, caller_of(router.current_event), connection_id
        )
        return answer(connection, connection)

    @router.put(
        "/v1/connections/<connection_id>",
        tags=["connections"],
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def replace_connection(
        connection_id: str, given: ConnectionInput, if_match: IfMatch = None
    ) -> Response[Connection]:
        caller = caller_of(router.current_event)
        revision = revision_of(if_match)
        connection = connections.replace_connection(context, caller, connection_id, given, revision)
        return answer(connection, connection)

    @router.delete(
        "/v1/connections/<connection_id>",
        tags=["connections"],
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH),
    )
    def delete_connection(connection_id: str, if_match: IfMatch = None) -> Response[None]:
        caller = caller_of(router.current_event)
        connections.delete_connection(context, caller, connection_id, revision_of(if_match))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router

"""What a connection can do beside being stored."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import ConflictError, NotFoundError
from millrace.http.documented import WITH_BODY, answers
from millrace.http.requests import caller_of
from millrace.http.roles import needs
from millrace.usecases.context import Context
from millrace.usecases.ping import PingInput, PingResult, ping_connection


def connections_router(context: Context) -> APIGatewayHttpRouter:
    """The routes of connections that other resources do not have."""
    router = APIGatewayHttpRouter()

    @router.post(
        "/v1/connections/<connection_id>/ping",
        tags=["connections"],
        security=needs("operator"),
        responses=answers(HTTPStatus.OK, NotFoundError, ConflictError, *WITH_BODY),
    )
    def ping(connection_id: str, given: PingInput | None = None) -> PingResult:
        caller = caller_of(router.current_event)
        return ping_connection(context, caller, connection_id, given or PingInput())

    return router

"""/v1/flows/{flow_id}/schedule."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace import limits
from millrace.domain.errors import NotFoundError
from millrace.http.documented import answers
from millrace.http.requests import caller_of
from millrace.http.roles import needs
from millrace.usecases.context import Context
from millrace.usecases.next_occurrences import NextOccurrences, next_occurrences

Number = Annotated[int, Query(ge=1, le=limits.OCCURRENCES, description="How many.")]


def schedule_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows/<flow_id>/schedule/next",
        tags=["flows"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def when_next(flow_id: str, n: Number = 10) -> NextOccurrences:
        return next_occurrences(context, caller_of(router.current_event), flow_id, n)

    return router

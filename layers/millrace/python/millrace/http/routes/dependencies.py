"""What a flow needs and works on."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import NotFoundError
from millrace.http.documented import answers
from millrace.http.requests import caller_of
from millrace.http.roles import needs
from millrace.usecases.context import Context
from millrace.usecases.dependencies import (
    Dependencies,
    Descendants,
    dependencies_of,
    descendants_of,
)


def dependencies_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows/<flow_id>/dependencies",
        tags=["flows"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_dependencies(flow_id: str) -> Dependencies:
        return dependencies_of(context, caller_of(router.current_event), flow_id)

    @router.get(
        "/v1/flows/<flow_id>/descendants",
        tags=["flows"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_descendants(flow_id: str) -> Descendants:
        return descendants_of(context, caller_of(router.current_event), flow_id)

    return router

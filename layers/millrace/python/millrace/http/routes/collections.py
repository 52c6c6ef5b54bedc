"""The plain resources of a workspace, and where they are."""

from collections.abc import Iterator

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.http.routes.crud import Place, crud_router
from millrace.usecases.actions import ACTIONS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context


def collection_routers(context: Context) -> Iterator[APIGatewayHttpRouter]:
    """The routes of every plain resource."""
    yield crud_router(context, Place("connections", "connection_id"), CONNECTIONS)
    yield crud_router(context, Place("actions", "action_id"), ACTIONS)

"""The plain resources of a workspace, and where they are."""

from collections.abc import Iterator

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.http.routes.crud import Place, crud_router
from millrace.usecases.actions import ACTIONS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.plain import DATA_POOLS, LABELS, NOTIFICATION_GROUPS, TEMPLATES
from millrace.usecases.variables import VARIABLES
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS


def collection_routers(context: Context) -> Iterator[APIGatewayHttpRouter]:
    """The routes of every plain resource."""
    yield crud_router(context, Place("integrations", "integration_id"), INTEGRATIONS)
    yield crud_router(context, Place("connections", "connection_id"), CONNECTIONS)
    yield crud_router(context, Place("actions", "action_id"), ACTIONS)
    yield crud_router(context, Place("variables", "variable_id"), VARIABLES)
    environments = Place("virtualEnvironments", "virtual_environment_id")
    yield crud_router(context, environments, VIRTUAL_ENVIRONMENTS)
    yield crud_router(context, Place("labels", "label_id"), LABELS)
    groups = Place("notificationGroups", "notification_group_id")
    yield crud_router(context, groups, NOTIFICATION_GROUPS)
    yield crud_router(context, Place("templates", "template_id"), TEMPLATES)
    yield crud_router(context, Place("dataPools", "data_pool_id"), DATA_POOLS)

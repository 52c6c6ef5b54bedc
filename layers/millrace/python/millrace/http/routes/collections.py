"""The plain resources of a workspace, and where they are."""

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.http.routes.crud import Place, crud_router
from millrace.usecases.actions import ACTIONS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.plain import DATA_POOLS, LABELS, NOTIFICATION_GROUPS, TEMPLATES
from millrace.usecases.variables import VARIABLES
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS


def integrations_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/integrations."""
    return crud_router(context, Place("integrations", "integration_id"), INTEGRATIONS)


def connections_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/connections."""
    return crud_router(context, Place("connections", "connection_id"), CONNECTIONS)


def actions_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/actions."""
    return crud_router(context, Place("actions", "action_id"), ACTIONS)


def variables_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/variables."""
    return crud_router(context, Place("variables", "variable_id"), VARIABLES)


def virtual_environments_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/virtualEnvironments."""
    place = Place("virtualEnvironments", "virtual_environment_id")
    return crud_router(context, place, VIRTUAL_ENVIRONMENTS)


def labels_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/labels."""
    return crud_router(context, Place("labels", "label_id"), LABELS)


def notification_groups_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/notificationGroups."""
    place = Place("notificationGroups", "notification_group_id")
    return crud_router(context, place, NOTIFICATION_GROUPS)


def templates_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/templates."""
    return crud_router(context, Place("templates", "template_id"), TEMPLATES)


def data_pools_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/dataPools."""
    return crud_router(context, Place("dataPools", "data_pool_id"), DATA_POOLS)

"""Which router answers which path, so that a cold start builds only the one it needs."""

from collections.abc import Callable, Iterable
from pkgutil import resolve_name
from typing import Final

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.usecases.context import Context

type RouterFactory = Callable[[Context], APIGatewayHttpRouter]

ROUTERS: Final = {
    "/v1/actions": "collections:actions_router",
    "/v1/apply": "apply:apply_router",
    "/v1/connections": "collections:connections_router",
    "/v1/connections/*/ping": "connections:connections_router",
    "/v1/dataPools": "collections:data_pools_router",
    "/v1/flows": "flows:flows_router",
    "/v1/flows/*/audit": "audit:audit_router",
    "/v1/flows/*/callbacks": "addresses:callbacks_router",
    "/v1/flows/*/clone": "copies:copies_router",
    "/v1/flows/*/dependencies": "dependencies:dependencies_router",
    "/v1/flows/*/descendants": "dependencies:dependencies_router",
    "/v1/flows/*/duplicate": "copies:copies_router",
    "/v1/flows/*/errors": "errors:errors_router",
    "/v1/flows/*/lastExportDateTime": "last_export:last_export_router",
    "/v1/flows/*/layoutDirection": "copies:copies_router",
    "/v1/flows/*/manual": "start:start_router",
    "/v1/flows/*/replaceConnection": "copies:copies_router",
    "/v1/flows/*/resolved": "errors:errors_router",
    "/v1/flows/*/run": "start:start_router",
    "/v1/flows/*/runs": "runs:runs_router",
    "/v1/flows/*/schedule": "schedule:schedule_router",
    "/v1/flows/*/start": "start:start_router",
    "/v1/flows/*/steps/*/errors": "errors:errors_router",
    "/v1/flows/*/steps/*/resolved": "errors:errors_router",
    "/v1/flows/*/steps/*/test": "trials:trials_router",
    "/v1/flows/*/template": "transfer:transfer_router",
    "/v1/flows/*/test": "trials:trials_router",
    "/v1/flows/*/testExecutionResults": "trials:trials_router",
    "/v1/flows/*/versionMetrics": "metrics:metrics_router",
    "/v1/flows/*/versions": "versions:versions_router",
    "/v1/flows/*/webhooks": "addresses:webhooks_router",
    "/v1/flows/export": "transfer:transfer_router",
    "/v1/flows/import": "transfer:transfer_router",
    "/v1/integrations": "collections:integrations_router",
    "/v1/integrations/*/template": "transfer:transfer_router",
    "/v1/labels": "collections:labels_router",
    "/v1/limits": "limits:limits_router",
    "/v1/notificationGroups": "collections:notification_groups_router",
    "/v1/runs": "runs:runs_router",
    "/v1/runs/*/retry": "start:start_router",
    "/v1/templates": "collections:templates_router",
    "/v1/tokenInfo": "tokens:tokens_router",
    "/v1/tokens": "tokens:tokens_router",
    "/v1/variables": "collections:variables_router",
    "/v1/virtualEnvironments": "collections:virtual_environments_router",
}
"""The beginning of a path, where `*` stands for any segment, to its router: module and factory.

The longest that fits decides. A router may stand behind several.
"""

CHANGING: Final = {"flows:flows_router": "flow_changes:flow_changes_router"}
"""Routers of what is read often, to those of the other methods, which need far more modules."""


def router_of(method: str, path: str) -> str | None:
    """The name of the router that answers a method of a path, if there is one."""
    segments = path.split("/")
    fitting = [beginning for beginning in ROUTERS if _fits(beginning.split("/"), segments)]
    if not fitting:
        return None
    name = ROUTERS[max(fitting, key=len)]
    return name if method == "GET" else CHANGING.get(name, name)


def make_router(name: str, context: Context) -> APIGatewayHttpRouter:
    """Import and build a router."""
    make: RouterFactory = resolve_name(f"millrace.http.routes.{name}")
    return make(context)


def all_routers(context: Context) -> Iterable[APIGatewayHttpRouter]:
    """Every router once."""
    names = dict.fromkeys([*ROUTERS.values(), *CHANGING.values()])
    return (make_router(name, context) for name in names)


def _fits(beginning: list[str], segments: list[str]) -> bool:
    return len(beginning) <= len(segments) and all(
        wanted in {"*", given} for wanted, given in zip(beginning, segments, strict=False)
    )

"""Which role each route needs, and that none can be called without saying so."""

from typing import Final

import pytest
from tests.support.app import event
from tests.support.world import World

from millrace.domain.token import ROLES, Caller, Role
from millrace.http.app import create_app
from millrace.http.openapi import document
from millrace.http.roles import role_of
from millrace.http.routing import all_routers

READ_BY_POST: Final = {
    "/v1/flows/export",
    "/v1/flows/{flow_id}/template",
    "/v1/integrations/{integration_id}/template",
}
OPERATED: Final = {
    ("POST", "/v1/connections/{connection_id}/ping"),
    ("POST", "/v1/flows/{flow_id}/errors/retry"),
    ("POST", "/v1/flows/{flow_id}/manual"),
    ("POST", "/v1/flows/{flow_id}/manual/{version_id}"),
    ("POST", "/v1/flows/{flow_id}/run"),
    ("POST", "/v1/flows/{flow_id}/start"),
    ("POST", "/v1/flows/{flow_id}/start/raw"),
    ("POST", "/v1/flows/{flow_id}/start/{version_id}"),
    ("POST", "/v1/flows/{flow_id}/steps/{step_id}/test"),
    ("POST", "/v1/flows/{flow_id}/test"),
    ("POST", "/v1/runs/{run_id}/cancel"),
    ("POST", "/v1/runs/{run_id}/retry"),
    ("PUT", "/v1/flows/{flow_id}/errors/assign"),
    ("PUT", "/v1/flows/{flow_id}/errors/resolve"),
    ("PUT", "/v1/flows/{flow_id}/errors/tag"),
    ("PUT", "/v1/flows/{flow_id}/errors/{error_id}/record"),
}


def role_for(method: str, path: str) -> Role:
    """The role that a route should need."""
    if path.startswith("/v1/tokens"):
        return "admin"
    if method == "GET" or path in READ_BY_POST:
        return "viewer"
    return "operator" if (method, path) in OPERATED else "editor"


def test_every_route_says_which_role_it_needs() -> None:
    """Those that the OpenAPI document hides too; a new one fails here until it does."""
    context = World().context
    app = create_app(context)
    for router in all_routers(context):
        app.include_router(router)
    routes = [*app._static_routes, *app._dynamic_routes]
    assert len(routes) > 100
    for route in routes:
        assert role_of(route) in ROLES


def test_viewers_read_operators_run_editors_change_and_admins_give_tokens() -> None:
    """The document tells it; a new route that is not read needs an editor, or a line above."""
    told = {
        (method.upper(), path): operation["security"]
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    }
    assert told.keys() >= OPERATED
    assert told == {route: [{"bearer": [role_for(*route)]}] for route in told}


def test_a_route_that_names_no_role_lets_nobody_in() -> None:
    """Forgetting it is a fault of ours, not an open door."""
    app = create_app(World().context)

    @app.get("/v1/connections")
    def forgotten() -> str:
        return "everything"

    request = event("api")
    request["requestContext"]["http"]["method"] = "GET"
    request["requestContext"]["authorizer"]["lambda"]["role"] = "admin"
    with pytest.raises(LookupError, match="GET /v1/connections does not say"):
        app.check_role(request)


@pytest.mark.parametrize("place", range(len(ROLES)))
def test_a_role_may_what_those_below_it_may(place: int) -> None:
    """And nothing that those above it may."""
    caller = Caller(workspace_id="ws_1", token_id="tok_1", role=ROLES[place])
    assert [caller.may(role) for role in ROLES] == [number <= place for number in range(4)]

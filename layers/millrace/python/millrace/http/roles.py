"""Which role a route needs: declared with it, told by the OpenAPI document, and asked for first."""

from collections.abc import Mapping
from typing import Any, Final, cast

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.api_gateway import Route
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from millrace.domain.errors import ForbiddenError
from millrace.domain.token import Role
from millrace.http.requests import caller_of

BEARER: Final = "bearer"
"""The name of the one security scheme."""


def needs(role: Role) -> list[dict[str, list[str]]]:
    """The `security` of a route that lets in this role and those above it.

    OpenAPI 3.1 has the names of roles beside the scheme that tells who has them.
    """
    return [{BEARER: [role]}]


class RoleResolver(APIGatewayHttpResolver):
    """Refuses a request whose caller has too small a role, before anything is done for it."""

    def check_role(self, event: Mapping[str, Any]) -> None:
        """Raise ForbiddenError, or UnauthenticatedError if nobody is known to call.

        A request that no route answers needs no role.
        """
        route = self._route_of(APIGatewayProxyEventV2(dict(event)))
        if route is None:
            return
        caller, needed = caller_of(event), role_of(route)
        if not caller.may(needed):
            raise ForbiddenError(
                f"this needs a token of the role {needed!r} or a higher one, and the role of "
                f"this token is {caller.role!r}"
            )

    def _route_of(self, asked: APIGatewayProxyEventV2) -> Route | None:
        """The route that `resolve` would call."""
        method, path = asked.http_method.upper(), self._remove_prefix(asked.path)
        routes = [*self._static_routes, *self._dynamic_routes]
        fitting = (each for each in routes if each.method == method and each.rule.match(path))
        return next(fitting, None)


def role_of(route: Route) -> Role:
    """The role that a route says it needs. Raises LookupError if it says none: nobody gets in."""
    for scheme in route.security or ():
        (role,) = scheme[BEARER]
        return cast("Role", role)
    raise LookupError(f"{route.method} {route.path} does not say which role it needs")

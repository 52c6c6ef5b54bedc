"""The OpenAPI document: for /docs and /v1/openapi.json, for `millrace openapi` and for tests."""

import json
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer

from millrace.domain.token import ROLES
from millrace.http.app import create_app
from millrace.http.body import JSON
from millrace.http.description import describe
from millrace.http.roles import BEARER, RoleResolver
from millrace.http.routing import all_routers

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.openapi.models import OpenAPI

    from millrace.usecases.context import Context

_TITLE: Final = "Millrace"
_VERSION: Final = "1"
_DESCRIPTION: Final = "Integration flows in your own AWS account."
_TOKENS: Final = (
    "A token of a workspace: `POST /v1/tokens` makes one. Each operation names the least role that "
    f"it lets in, of {', '.join(ROLES)}."
)


def documentation() -> RoleResolver:
    """What answers /docs and /v1/openapi.json; it knows all routes and calls none."""
    nothing_to_call = cast("Context", None)
    app = create_app(nothing_to_call, _Described)
    app.configure_openapi(
        title=_TITLE,
        version=_VERSION,
        description=_DESCRIPTION,
        security_schemes={BEARER: HTTPBearer(description=_TOKENS)},
    )
    for router in all_routers(nothing_to_call):
        app.include_router(router)

    @app.get("/v1/openapi.json", include_in_schema=False)
    def openapi() -> Response[str]:
        return Response(HTTPStatus.OK, JSON, app.get_openapi_json_schema())

    app.enable_swagger(path="/docs", title=_TITLE, version=_VERSION)
    return app


@cache
def document() -> dict[str, Any]:
    """The document that the API serves."""
    return cast("dict[str, Any]", json.loads(documentation().get_openapi_json_schema()))


class _Described(RoleResolver):
    """Adds to each operation what holds for many, and what no route takes or gives itself."""

    def get_openapi_schema(self, **given: Any) -> "OpenAPI":  # noqa: ANN401 - handed on
        """The OpenAPI document."""
        schema = super().get_openapi_schema(**given)
        told = schema.model_dump(mode="json", by_alias=True, exclude_none=True)
        describe(told)
        return type(schema).model_validate(told)

"""The OpenAPI document without a stack: for `millrace openapi` and for tests."""

import json
from typing import TYPE_CHECKING, Any, cast

from millrace.http.api import create_app

if TYPE_CHECKING:
    from millrace.usecases.context import Context


def document() -> dict[str, Any]:
    """The document that the API serves; the routes are only described, never called."""
    nothing_to_call = cast("Context", None)
    return cast("dict[str, Any]", json.loads(create_app(nothing_to_call).get_openapi_json_schema()))

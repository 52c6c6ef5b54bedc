"""The control plane as one callable: a request to its router, and what answers it."""

from dataclasses import replace
from functools import cached_property
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.domain.errors import DomainError
from millrace.http import problems
from millrace.http.app import create_app, fault
from millrace.http.body import json_request
from millrace.http.idempotency import answer_once
from millrace.http.roles import RoleResolver
from millrace.http.routing import make_router, router_of
from millrace.usecases.context import Context
from millrace.usecases.once import Once

_DOCS = {"/docs", "/v1/openapi.json"}
"""Public."""


class Api:
    """Answers control-plane requests: Lambda events of an HTTP API, payload format 2.0.

    A router is built when the first request needs it.
    """

    def __init__(self, context: Context) -> None:
        self._once = Once(context.resources, context.clock)
        self._context = replace(context, resources=self._once)
        self._app = create_app(self._context)
        self._built: set[str] = set()

    def __call__(self, event: dict[str, Any], lambda_context: LambdaContext) -> dict[str, Any]:
        """The answer to one request; never raises."""
        told = self._answer(event, lambda_context)
        return told | {"headers": {**told["headers"], **problems.SAFE}}

    def _answer(self, event: dict[str, Any], lambda_context: LambdaContext) -> dict[str, Any]:
        try:
            path = event["rawPath"]
            if path in _DOCS:
                return self._docs.resolve(event, lambda_context)
            app = self._app_for(event["requestContext"]["http"]["method"], path)
            app.check_role(event)
            request = json_request(event)
            return answer_once(
                self._once,
                request,
                lambda: app.resolve(request, lambda_context),
                lambda place: self._get(place, request, lambda_context),
            )
        except DomainError as error:
            return _told(problems.from_error(error))
        except Exception as error:  # noqa: BLE001 - the last resort, as within the application
            return _told(fault(error))

    def _get(
        self, path: str, request: dict[str, Any], lambda_context: LambdaContext
    ) -> dict[str, Any]:
        """What the sender of a request would be shown at a path."""
        http = {**request["requestContext"]["http"], "method": "GET", "path": path}
        context = {**request["requestContext"], "http": http}
        asked = {**request, "rawPath": path, "rawQueryString": "", "requestContext": context}
        asked |= {"body": None, "queryStringParameters": None}
        return self._app_for("GET", path).resolve(asked, lambda_context)

    def _app_for(self, method: str, path: str) -> RoleResolver:
        router = router_of(method, path)
        if router is not None and router not in self._built:
            self._app.include_router(make_router(router, self._context))
            self._built.add(router)
        return self._app

    @cached_property
    def _docs(self) -> RoleResolver:
        # It knows every route, and the classes of an OpenAPI document take long to import.
        from millrace.http.openapi import documentation  # noqa: PLC0415

        return documentation()


def _told(found: problems.Problem) -> dict[str, Any]:
    return {
        "statusCode": found.status,
        "headers": {"Content-Type": problems.CONTENT_TYPE},
        "body": found.model_dump_json(by_alias=True, exclude_none=True),
        "isBase64Encoded": False,
    }

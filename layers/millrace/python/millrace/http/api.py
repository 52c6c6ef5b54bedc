"""The control plane as one Powertools application."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as NoRouteError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.domain.errors import DomainError
from millrace.http import problems
from millrace.http.body import json_request
from millrace.http.idempotency import Resolver, answer_once
from millrace.http.requests import caller_of
from millrace.http.routes.apply import apply_router
from millrace.http.routes.audit import audit_router
from millrace.http.routes.callbacks import callbacks_router
from millrace.http.routes.collections import collection_routers
from millrace.http.routes.connections import connections_router
from millrace.http.routes.flows import flows_router
from millrace.http.routes.limits import limits_router
from millrace.http.routes.metrics import metrics_router
from millrace.http.routes.runs import runs_router
from millrace.http.routes.start import start_router
from millrace.http.routes.tokens import tokens_router
from millrace.http.routes.versions import versions_router
from millrace.http.routes.webhooks import webhooks_router
from millrace.http.thorough import broken_rules
from millrace.usecases.context import Context
from millrace.usecases.once import Once

ROUTERS: Final = (
    tokens_router,
    apply_router,
    connections_router,
    flows_router,
    versions_router,
    webhooks_router,
    callbacks_router,
    audit_router,
    start_router,
    runs_router,
    metrics_router,
    limits_router,
)

_DESCRIPTION: Final = "Integration flows in your own AWS account."

logger = Logger(service="api")


class Api:
    """Answers control-plane requests: Lambda events of an HTTP API, payload format 2.0."""

    def __init__(self, context: Context) -> None:
        self._once = Once(context.resources, context.clock)
        self._app = create_app(replace(context, resources=self._once))

    def __call__(self, event: dict[str, Any], lambda_context: LambdaContext) -> dict[str, Any]:
        """The answer to one request; never raises."""
        try:
            request = json_request(event)
            return answer_once(
                self._once, request, lambda: self._app.resolve(request, lambda_context)
            )
        except DomainError as error:
            return _told(problems.from_error(error))
        except Exception as error:  # noqa: BLE001 - the last resort, as within the application
            return _told(_fault(error))


def _told(found: problems.Problem) -> dict[str, Any]:
    return {
        "statusCode": found.status,
        "headers": {"Content-Type": problems.CONTENT_TYPE},
        "body": found.model_dump_json(by_alias=True, exclude_none=True),
        "isBase64Encoded": False,
    }


def _fault(error: Exception) -> problems.Problem:
    """What no one foresaw is logged whole and answered without detail."""
    logger.error("unhandled error", exc_info=error)
    detail = "something went wrong on our side; it is in the log"
    return problems.problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)


def create_app(context: Context) -> Resolver:
    """The routes, and what becomes of errors."""
    app = Resolver(enable_validation=True)
    app.configure_openapi(title="Millrace", version="1", description=_DESCRIPTION)
    app.enable_swagger(path="/docs", title="Millrace", version="1")
    for router in (*collection_routers(context), *(make(context) for make in ROUTERS)):
        app.include_router(router)

    @app.exception_handler(DomainError)
    def on_domain_error(error: DomainError) -> Response[str]:
        return problems.response(problems.from_error(error))

    @app.exception_handler(RequestValidationError)
    def on_bad_request(error: RequestValidationError) -> Response[str]:
        event = app.current_event
        body = event.json_body if event.body else None
        errors = list(error.errors())
        found = problems.shape_violations(errors, body)
        if any(each["loc"][0] != "body" for each in errors):
            return problems.response(problems.bad_parameters(found))
        found += broken_rules(context, caller_of(event), event.path, body, found)
        return problems.response(problems.bad_body(found))

    @app.not_found
    def on_no_route(_: NoRouteError) -> Response[str]:
        event = app.current_event
        detail = f"there is no {event.http_method} {event.path}; see /docs"
        return problems.response(problems.problem(HTTPStatus.NOT_FOUND, "noRoute", detail))

    @app.exception_handler(Exception)
    def on_fault(error: Exception) -> Response[str]:
        return problems.response(_fault(error))

    return app

"""A Powertools application without routes: what becomes of errors, whoever raises them."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as NoRouteError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from millrace import limits
from millrace.domain.errors import DomainError, Violation
from millrace.http import problems
from millrace.http.parameters import Parameters, strange_names
from millrace.http.requests import caller_of
from millrace.http.roles import RoleResolver
from millrace.observability import logger
from millrace.usecases.context import Context

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.middlewares import NextMiddleware


def create_app(context: Context, kind: type[RoleResolver] = RoleResolver) -> RoleResolver:
    """An application that answers every error with a problem."""
    app = kind(enable_validation=True)
    app.use(middlewares=[_refuse_strange_names])

    @app.exception_handler(DomainError)
    def on_domain_error(error: DomainError) -> Response[str]:
        return problems.response(problems.from_error(error))

    @app.exception_handler(RequestValidationError)
    def on_bad_request(error: RequestValidationError) -> Response[str]:
        # Few requests need it, and it knows the compiler and most use cases.
        from millrace.http.thorough import broken_rules  # noqa: PLC0415

        event = app.current_event
        body = event.json_body if event.body else None
        errors = list(error.errors())
        found = problems.shape_violations(errors, body)
        if any(each["loc"][0] != "body" for each in errors):
            found += _strange_names(app)
            return problems.response(problems.bad_parameters(found))
        if len(errors) <= limits.ERRORS_SHOWN:
            found += broken_rules(context, caller_of(event), event.path, body, found)
        return problems.response(problems.bad_body(found))

    @app.not_found
    def on_no_route(_: NoRouteError) -> Response[str]:
        event = app.current_event
        detail = f"there is no {event.http_method} {event.path}; see /docs"
        return problems.response(problems.problem(HTTPStatus.NOT_FOUND, "noRoute", detail))

    @app.exception_handler(Exception)
    def on_fault(error: Exception) -> Response[str]:
        return problems.response(fault(error))

    return app


def _refuse_strange_names(
    app: APIGatewayHttpResolver, next_middleware: "NextMiddleware"
) -> Response[Any]:
    """No parameter is ignored: a filter that is not known would choose everything."""
    if found := _strange_names(app):
        return problems.response(problems.bad_parameters(found))
    return next_middleware(app)


def _strange_names(app: APIGatewayHttpResolver) -> list[Violation]:
    """The parameters that the route of the request does not know."""
    event = app.current_event
    if not event.path.startswith("/v1/"):
        return []
    known: list[str] = []
    for parameter in app.context["_route"].dependant.query_params:
        model = parameter.field_info.annotation
        is_model = isinstance(model, type) and issubclass(model, Parameters)
        known += model.names() if is_model else [parameter.alias]
    return strange_names(str(event.get("rawQueryString") or ""), known)


def fault(error: Exception) -> problems.Problem:
    """What no one foresaw is logged whole and answered without detail."""
    logger.error("unhandled error", exc_info=error)
    detail = "something went wrong on our side; it is in the log"
    return problems.problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)

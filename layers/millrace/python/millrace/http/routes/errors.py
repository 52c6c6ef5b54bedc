"""/v1/flows/{flow_id}/errors: records that failed."""

from http import HTTPStatus
from typing import Annotated, Final

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.base import Record
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    RevisionMismatchError,
)
from millrace.http.body import JSON
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.error_views import Changed, RecordErrorView, RetriedView
from millrace.http.pages import page_answer
from millrace.http.requests import IfMatch, Page, answer, caller_of, etag_of, revision_of
from millrace.http.roles import needs
from millrace.http.run_queries import ErrorsQuery, FlowErrorsQuery
from millrace.usecases import record_errors
from millrace.usecases.context import Context
from millrace.usecases.lists import Part
from millrace.usecases.record_errors import (
    Assignment,
    ErrorFilter,
    ErrorSelection,
    Tagging,
)
from millrace.usecases.retry_errors import ErrorRetryRequest, retry_errors

_CHANGED: Final = answers(HTTPStatus.OK, *WITH_BODY, NotFoundError, RevisionMismatchError)


def errors_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()
    _add_lists(router, context)
    _add_selections(router, context)
    _add_single(router, context)
    return router


def _add_lists(router: APIGatewayHttpRouter, context: Context) -> None:
    def listed(
        flow_id: str, query: ErrorsQuery, *, resolved: bool, step_id: str | None = None
    ) -> Response[Page[RecordErrorView]]:
        event = router.current_event.raw_event
        only = {} if step_id is None else {"step_id": (step_id,)}
        listing = record_errors.list_errors(
            context,
            caller_of(event),
            flow_id,
            ErrorFilter.model_validate(query.filters | only),
            resolved=resolved,
            limit=query.per_page,
            cursor=query.cursor,
        )
        views = tuple(map(RecordErrorView.of, listing.items))
        return page_answer(event, query, Part(views, listing.cursor))

    @router.get(
        "/v1/flows/<flow_id>/errors",
        tags=["errors"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_errors(
        flow_id: str, query: Annotated[FlowErrorsQuery, Query()]
    ) -> Response[Page[RecordErrorView]]:
        return listed(flow_id, query, resolved=False)

    @router.get(
        "/v1/flows/<flow_id>/resolved",
        tags=["errors"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_resolved_errors(
        flow_id: str, query: Annotated[FlowErrorsQuery, Query()]
    ) -> Response[Page[RecordErrorView]]:
        return listed(flow_id, query, resolved=True)

    @router.get(
        "/v1/flows/<flow_id>/steps/<step_id>/errors",
        tags=["errors"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_errors_of_step(
        flow_id: str, step_id: str, query: Annotated[ErrorsQuery, Query()]
    ) -> Response[Page[RecordErrorView]]:
        return listed(flow_id, query, resolved=False, step_id=step_id)

    @router.get(
        "/v1/flows/<flow_id>/steps/<step_id>/resolved",
        tags=["errors"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_resolved_errors_of_step(
        flow_id: str, step_id: str, query: Annotated[ErrorsQuery, Query()]
    ) -> Response[Page[RecordErrorView]]:
        return listed(flow_id, query, resolved=True, step_id=step_id)


def _add_single(router: APIGatewayHttpRouter, context: Context) -> None:
    @router.get(
        "/v1/flows/<flow_id>/errors/<error_id>",
        tags=["errors"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_error(flow_id: str, error_id: str) -> Response[RecordErrorView]:
        caller = caller_of(router.current_event)
        entry = record_errors.get_error(context, caller, flow_id, error_id)
        return answer(RecordErrorView.of(entry), entry)

    @router.get(
        "/v1/flows/<flow_id>/errors/<error_id>/record",
        tags=["errors"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_record(flow_id: str, error_id: str) -> Response[Record]:
        caller = caller_of(router.current_event)
        entry, record = record_errors.get_record(context, caller, flow_id, error_id)
        return Response(HTTPStatus.OK.value, JSON, body=record, headers=etag_of(entry))

    @router.put(
        "/v1/flows/<flow_id>/errors/<error_id>/record",
        tags=["errors"],
        security=needs("operator"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def replace_record(
        flow_id: str,
        error_id: str,
        record: Annotated[Record, Body(description="The record to try instead.")],
        if_match: IfMatch = None,
    ) -> Response[RecordErrorView]:
        caller = caller_of(router.current_event)
        revision = revision_of(if_match)
        entry = record_errors.replace_record(context, caller, flow_id, error_id, record, revision)
        return answer(RecordErrorView.of(entry), entry)


def _add_selections(router: APIGatewayHttpRouter, context: Context) -> None:
    @router.put(
        "/v1/flows/<flow_id>/errors/resolve",
        tags=["errors"],
        security=needs("operator"),
        responses=_CHANGED,
    )
    def resolve_errors(flow_id: str, which: ErrorSelection) -> Changed:
        caller = caller_of(router.current_event)
        return Changed.of(record_errors.resolve(context, caller, flow_id, which))

    @router.put(
        "/v1/flows/<flow_id>/errors/assign",
        tags=["errors"],
        security=needs("operator"),
        responses=_CHANGED,
    )
    def assign_errors(flow_id: str, which: Assignment) -> Changed:
        caller = caller_of(router.current_event)
        return Changed.of(record_errors.assign(context, caller, flow_id, which))

    @router.put(
        "/v1/flows/<flow_id>/errors/tag",
        tags=["errors"],
        security=needs("operator"),
        responses=_CHANGED,
    )
    def tag_errors(flow_id: str, which: Tagging) -> Changed:
        caller = caller_of(router.current_event)
        return Changed.of(record_errors.tag(context, caller, flow_id, which))

    @router.post(
        "/v1/flows/<flow_id>/errors/retry",
        tags=["errors"],
        security=needs("operator"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, NotFoundError, ConflictError),
    )
    def retry_failed_records(flow_id: str, asked: ErrorRetryRequest) -> RetriedView:
        caller = caller_of(router.current_event)
        return RetriedView.of(retry_errors(context, caller, flow_id, asked))

"""/v1/flows/{flowId}/audit."""

from http import HTTPStatus
from typing import Annotated, Self

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import Field

from millrace.domain.audit import AuditChange, AuditEntry, AuditEvent
from millrace.domain.base import Model, Moment
from millrace.domain.errors import NotFoundError
from millrace.http.documented import answers
from millrace.http.pages import page_answer
from millrace.http.queries import PagedQuery
from millrace.http.requests import Page, caller_of
from millrace.http.roles import needs
from millrace.usecases import audit
from millrace.usecases.context import Context
from millrace.usecases.lists import Part
from millrace.usecases.resources import fields_of


class AuditView(Model):
    """An entry of a flow's audit trail."""

    id: str
    flow_id: str
    event: AuditEvent
    at: Moment
    by: str = Field(description="The token that made the request.")
    request_id: str | None
    changes: tuple[AuditChange, ...]

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """The view of a stored entry."""
        return cls(**fields_of(entry, cls), at=entry.created_at, by=entry.created_by)


def audit_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows/<flow_id>/audit",
        tags=["flows"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_audit(
        flow_id: str, query: Annotated[PagedQuery, Query()]
    ) -> Response[Page[AuditView]]:
        event = router.current_event.raw_event
        found = audit.list_audit(context, caller_of(event), flow_id, query.per_page, query.cursor)
        views = tuple(map(AuditView.of, found.items))
        return page_answer(event, query, Part(views, found.cursor))

    return router

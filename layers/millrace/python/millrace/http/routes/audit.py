"""/v1/flows/{flowId}/audit."""

from http import HTTPStatus
from typing import Self

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import Field

from millrace.domain.audit import AuditChange, AuditEntry, AuditEvent
from millrace.domain.base import Model, Moment
from millrace.domain.errors import NotFoundError
from millrace.domain.ports import Listing
from millrace.http.documented import answers
from millrace.http.requests import Cursor, Limit, Page, caller_of, page
from millrace.usecases import audit
from millrace.usecases.context import Context
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
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_audit(flow_id: str, per_page: Limit = 25, cursor: Cursor = None) -> Page[AuditView]:
        caller = caller_of(router.current_event)
        listing = audit.list_audit(context, caller, flow_id, per_page, cursor)
        views = tuple(AuditView.of(entry) for entry in listing.items)
        return page(f"/v1/flows/{flow_id}/audit", Listing(views, listing.cursor), per_page)

    return router

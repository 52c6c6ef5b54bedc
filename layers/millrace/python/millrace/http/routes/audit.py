"""/v1/flows/{flowId}/audit."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import NotFoundError
from millrace.domain.ports import Listing
from millrace.http.documented import answers
from millrace.http.requests import Cursor, Limit, Page, caller_of, page
from millrace.http.views import AuditView
from millrace.usecases import audit
from millrace.usecases.context import Context


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

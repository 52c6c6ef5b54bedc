"""Flows as documents: exported from one workspace, imported into another."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import ConflictError, NotFoundError, RevisionMismatchError
from millrace.domain.flow_document import FlowDocument
from millrace.http.documented import WITH_BODY, answers
from millrace.http.requests import caller_of
from millrace.usecases.context import Context
from millrace.usecases.export_flow import ExportRequest, export_flow
from millrace.usecases.import_flow import ImportResult
from millrace.usecases.import_request import ImportRequest, import_request


def transfer_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.post(
        "/v1/flows/export",
        tags=["flows"],
        responses=answers(HTTPStatus.OK, *WITH_BODY, NotFoundError, ConflictError),
    )
    def export(given: ExportRequest) -> FlowDocument:
        return export_flow(context, caller_of(router.current_event), given)

    @router.post(
        "/v1/flows/import",
        tags=["flows"],
        responses=answers(HTTPStatus.OK, *WITH_BODY, ConflictError, RevisionMismatchError),
    )
    def import_(given: ImportRequest) -> ImportResult:
        return import_request(context, caller_of(router.current_event), given)

    return router

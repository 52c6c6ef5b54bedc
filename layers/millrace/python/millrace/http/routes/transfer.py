"""Flows as documents: exported from one workspace, imported into another."""

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    RevisionMismatchError,
    TooLargeError,
)
from millrace.domain.flow_document import FlowDocument
from millrace.http.body import JSON
from millrace.http.documented import WITH_BODY, answers
from millrace.http.requests import caller_of
from millrace.http.roles import needs
from millrace.usecases.context import Context
from millrace.usecases.export_flow import ExportRequest, export_flow
from millrace.usecases.flow_template import TemplateAddress, template_of
from millrace.usecases.import_request import ImportRequest, import_request
from millrace.usecases.import_result import ImportResult
from millrace.usecases.integration_template import template_of_integration


def transfer_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.post(
        "/v1/flows/export",
        tags=["flows"],
        security=needs("viewer"),
        responses=answers(
            HTTPStatus.OK, *WITH_BODY, NotFoundError, ConflictError, shows=FlowDocument
        ),
    )
    def export_document(given: ExportRequest) -> Response[Any]:
        document = export_flow(context, caller_of(router.current_event), given)
        # Without nulls, so that it is small enough to be sent back.
        text = document.model_dump_json(exclude_none=True)
        return Response(status_code=HTTPStatus.OK, content_type=JSON, body=text)

    @router.post(
        "/v1/flows/import",
        tags=["flows"],
        security=needs("editor"),
        responses=answers(
            HTTPStatus.OK,
            *WITH_BODY,
            ConflictError,
            RevisionMismatchError,
            located=True,
        ),
    )
    def import_document(given: ImportRequest) -> Response[ImportResult]:
        result = import_request(context, caller_of(router.current_event), given)
        made = result.resources[0]
        place = "templates" if made.type == "template" else "flows"
        headers = {"ETag": f'"{result.revision}"', "Location": f"/v1/{place}/{made.id}"}
        return Response(status_code=HTTPStatus.OK, content_type=JSON, body=result, headers=headers)

    @router.get(
        "/v1/flows/<flow_id>/template",
        tags=["flows"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError, ConflictError, TooLargeError),
    )
    def get_flow_template(flow_id: str) -> Response[TemplateAddress]:
        return _address(template_of(context, caller_of(router.current_event), flow_id))

    @router.post(
        "/v1/flows/<flow_id>/template",
        tags=["flows"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, NotFoundError, ConflictError),
    )
    def make_flow_template(flow_id: str) -> Response[TemplateAddress]:
        return _address(template_of(context, caller_of(router.current_event), flow_id))

    @router.get(
        "/v1/integrations/<integration_id>/template",
        tags=["integrations"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError, ConflictError, TooLargeError),
    )
    def get_integration_template(integration_id: str) -> Response[TemplateAddress]:
        caller = caller_of(router.current_event)
        return _address(template_of_integration(context, caller, integration_id))

    @router.post(
        "/v1/integrations/<integration_id>/template",
        tags=["integrations"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, NotFoundError, ConflictError, TooLargeError),
    )
    def make_integration_template(integration_id: str) -> Response[TemplateAddress]:
        caller = caller_of(router.current_event)
        return _address(template_of_integration(context, caller, integration_id))

    return router


def _address(told: TemplateAddress) -> Response[TemplateAddress]:
    """An answer that opens what it names, and so is kept nowhere."""
    headers = {"Cache-Control": "no-store"}
    return Response(status_code=HTTPStatus.OK, content_type=JSON, body=told, headers=headers)

"""/v1/flows/{flowId}/lastExportDateTime."""

from http import HTTPStatus
from typing import Annotated, ClassVar

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.base import Model
from millrace.domain.errors import ConflictError, NotFoundError
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.requests import IfMatch, answer, caller_of, revision_of
from millrace.http.roles import needs
from millrace.http.sent_back import SentBack
from millrace.usecases.context import Context
from millrace.usecases.last_export import (
    LastExportDateTime,
    MarkChange,
    set_marks,
    show_marks,
)

Environment = Annotated[
    str | None,
    Query(
        alias="virtualEnvironmentId",
        description="Of runs in this virtual environment; absent: of those in none.",
    ),
]


class LastExportDateTimeChange(SentBack, MarkChange):
    """From where a flow reads on; what GET told of it may be sent along."""

    shown: ClassVar[type[Model]] = LastExportDateTime


def last_export_router(context: Context) -> APIGatewayHttpRouter:
    """The routes of how far a flow has read what changes."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows/<flow_id>/lastExportDateTime",
        tags=["flows"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_last_export(
        flow_id: str, environment_id: Environment = None
    ) -> Response[LastExportDateTime]:
        caller = caller_of(router.current_event)
        marks = show_marks(context, caller, flow_id, environment_id)
        return answer(marks.shown, marks)

    @router.put(
        "/v1/flows/<flow_id>/lastExportDateTime",
        tags=["flows"],
        security=needs("editor"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def set_last_export(
        flow_id: str,
        given: LastExportDateTimeChange,
        environment_id: Environment = None,
        if_match: IfMatch = None,
    ) -> Response[LastExportDateTime]:
        caller = caller_of(router.current_event)
        marks = set_marks(context, caller, flow_id, environment_id, given, revision_of(if_match))
        return answer(marks.shown, marks)

    return router

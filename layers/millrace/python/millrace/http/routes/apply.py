"""/v1/apply: a whole file at once."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import ConflictError, RevisionMismatchError
from millrace.http.documented import WITH_BODY, answers
from millrace.http.requests import caller_of
from millrace.http.roles import needs
from millrace.usecases.apply import apply
from millrace.usecases.apply_document import ApplyDocument, ApplyResult
from millrace.usecases.context import Context


def apply_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.post(
        "/v1/apply",
        tags=["apply"],
        security=needs("editor"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, ConflictError, RevisionMismatchError),
    )
    def apply_document(document: ApplyDocument) -> ApplyResult:
        return apply(context, caller_of(router.current_event), document)

    return router

"""What routes answer, for the OpenAPI document; statuses come from the table that answers use."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from millrace.domain.errors import (
    DomainError,
    InvalidRequestError,
    NotFoundError,
    PreconditionRequiredError,
    RevisionMismatchError,
    RuleViolationError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedMediaTypeError,
)
from millrace.http.problems import CONTENT_TYPE, STATUS, Problem

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse

type Errors = tuple[type[DomainError], ...]

# Powertools describes a 422 for every route, with a body of its own unless we describe it.
ANY_REQUEST: Final[Errors] = (InvalidRequestError, UnauthenticatedError, RuleViolationError)
WITH_BODY: Final[Errors] = (TooLargeError, UnsupportedMediaTypeError)
WITH_IF_MATCH: Final[Errors] = (NotFoundError, RevisionMismatchError, PreconditionRequiredError)


def answers(success: HTTPStatus, *errors: type[DomainError]) -> "dict[int, OpenAPIResponse]":
    """The success, whose body is what the route returns, and the errors that a caller may see."""
    described: dict[int, OpenAPIResponse] = {success.value: {"description": success.phrase}}
    if success is HTTPStatus.NO_CONTENT:
        described[success.value]["content"] = {}
    for status in sorted({STATUS[error] for error in (*ANY_REQUEST, *errors)}):
        described[status.value] = {
            "description": status.phrase,
            "content": {CONTENT_TYPE: {"model": Problem}},
        }
    return described

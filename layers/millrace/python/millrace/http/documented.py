"""What routes answer, for the OpenAPI document; statuses come from the table that answers use."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from millrace.domain.base import Model
from millrace.domain.errors import (
    DomainError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PreconditionRequiredError,
    RevisionMismatchError,
    RuleViolationError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from millrace.http.body import JSON
from millrace.http.problems import CONTENT_TYPE, STATUS, Problem

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse

type Errors = tuple[type[DomainError], ...]

# Powertools describes a 422 for every route, with a body of its own unless we describe it.
# The table that all routes read may be too busy for any of them.
ANY_REQUEST: Final[Errors] = (
    InvalidRequestError,
    UnauthenticatedError,
    ForbiddenError,
    RuleViolationError,
    UnavailableError,
)
WITH_BODY: Final[Errors] = (TooLargeError, UnsupportedMediaTypeError)
WITH_IF_MATCH: Final[Errors] = (NotFoundError, RevisionMismatchError, PreconditionRequiredError)


def answers(
    success: HTTPStatus,
    *errors: type[DomainError],
    shows: type[Model] | None = None,
    located: bool = False,
) -> "dict[int, OpenAPIResponse]":
    """The success and the errors that a caller may see.

    The body of the success is what the route returns, or what it `shows`, if it makes it itself;
    what is `located` says in a header where that is.
    """
    described: dict[int, OpenAPIResponse] = {success.value: {"description": success.phrase}}
    if shows is not None:
        described[success.value]["content"] = {JSON: {"model": shows}}
    if located:
        described[success.value]["headers"] = {"Location": {"description": "Where it is."}}
    if success is HTTPStatus.NO_CONTENT:
        described[success.value]["content"] = {}
    for status in sorted({STATUS[error] for error in (*ANY_REQUEST, *errors)}):
        described[status.value] = {
            "description": status.phrase,
            "content": {CONTENT_TYPE: {"model": Problem}},
        }
    return described

"""Errors as problem+json (RFC 9457): the one place where an error becomes a status."""

import json
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from aws_lambda_powertools.event_handler import Response

from millrace import limits
from millrace.domain.base import Json, Model
from millrace.domain.errors import (
    ConflictError,
    DomainError,
    FlowBusyError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PreconditionRequiredError,
    QueueFullError,
    RevisionMismatchError,
    RuleViolationError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
    Violation,
)
from millrace.domain.pointers import json_pointer
from millrace.domain.shape import violation_of

CONTENT_TYPE: Final = "application/problem+json"
SAFE: Final = {"X-Content-Type-Options": "nosniff"}
"""What all answers say: a browser takes none of them for anything but what it is."""

STATUS: Final[dict[type[DomainError], HTTPStatus]] = {
    InvalidRequestError: HTTPStatus.BAD_REQUEST,
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    FlowBusyError: HTTPStatus.CONFLICT,
    RevisionMismatchError: HTTPStatus.PRECONDITION_FAILED,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    RuleViolationError: HTTPStatus.UNPROCESSABLE_ENTITY,
    PreconditionRequiredError: HTTPStatus.PRECONDITION_REQUIRED,
    QueueFullError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class ErrorEntry(Model):
    """One thing that is wrong, and where."""

    code: str
    pointer: str
    message: str
    remedy: str | None = None


class Problem(Model):
    """The body of every answer that is not a success."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: tuple[ErrorEntry, ...] = ()


def from_error(error: DomainError) -> Problem:
    """The problem of a domain error."""
    return problem(STATUS[type(error)], error.code, error.message, error.violations)


def problem(
    status: HTTPStatus, code: str, detail: str, violations: Iterable[Violation] = ()
) -> Problem:
    """A problem; its `type` is stable and names the code."""
    named = list(violations)
    hidden = len(named) - limits.ERRORS_SHOWN
    if hidden > 0:
        detail += f", which names the first {limits.ERRORS_SHOWN:,} and leaves out {hidden:,}"
    return Problem(
        type=f"urn:millrace:problem:{code}",
        title=status.phrase,
        status=status.value,
        code=code,
        detail=detail,
        errors=tuple(
            ErrorEntry(
                code=violation.code,
                pointer=violation.pointer,
                message=violation.message,
                remedy=violation.remedy,
            )
            for violation in named[: limits.ERRORS_SHOWN]
        ),
    )


def response(found: Problem) -> "Response[str]":
    """A problem as an answer."""
    return Response(
        status_code=found.status, content_type=CONTENT_TYPE, body=json.dumps(found.to_json())
    )


def shape_violations(errors: Sequence[dict[str, Any]], body: Json) -> list[Violation]:
    """What is wrong with the shape of a request, as pydantic found it."""
    return [_violation(error, body) for error in errors]


def bad_parameters(violations: Sequence[Violation]) -> Problem:
    """The problem of a request whose path, query or headers are not what they should be."""
    detail = "a parameter is not what it should be; see errors"
    return problem(HTTPStatus.BAD_REQUEST, InvalidRequestError.code, detail, violations)


def bad_body(violations: Sequence[Violation]) -> Problem:
    """The problem of a request whose body does not have the shape it should have."""
    is_one = len(violations) == 1
    count = "one field is not as it" if is_one else f"{len(violations)} fields are not as they"
    detail = f"{count} should be; see errors"
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, RuleViolationError.code, detail, violations)


def _violation(error: dict[str, Any], body: Json) -> Violation:
    place, *path = error["loc"]
    if place != "body":
        return violation_of(error, str(path[-1] if path else place))
    if not path and error["type"] == "missing":
        return Violation("missingBody", "", "The request has no body.", "Send it as JSON.")
    return violation_of(error, json_pointer(path, body))

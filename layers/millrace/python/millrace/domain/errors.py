"""Errors in domain words, each with a stable code; `http/problems.py` maps them to statuses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from millrace.domain.base import rfc3339


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with a request: where it is, what it is, what to do about it."""

    code: str
    pointer: str
    """JSON Pointer into the request body, or the name of a query parameter or header."""
    message: str
    remedy: str | None = None


class DomainError(Exception):
    """Base of the errors a caller can do something about."""

    code = "error"

    def __init__(self, message: str, violations: Sequence[Violation] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)


class InvalidRequestError(DomainError):
    """The request cannot be understood: bad JSON, a bad parameter, an unknown field."""

    code = "invalidRequest"


class RuleViolationError(DomainError):
    """The request is well formed but breaks rules of the domain; `violations` lists all of them."""

    code = "ruleViolation"


class NotFoundError(DomainError):
    """Nothing of that id is in the caller's workspace; another workspace's id looks the same."""

    code = "notFound"


class ConflictError(DomainError):
    """The resource is not in a state that allows this."""

    code = "conflict"


class FlowBusyError(ConflictError):
    """As many runs of the flow as may be are at work, and no other one is to wait."""

    code = "flowBusy"


class QueueFullError(DomainError):
    """As many runs of the flow as may be wait already."""

    code = "queueFull"


class RevisionMismatchError(DomainError):
    """The resource changed since the caller read it."""

    code = "revisionMismatch"


class PreconditionRequiredError(DomainError):
    """A change was sent without If-Match."""

    code = "preconditionRequired"


class UnauthenticatedError(DomainError):
    """No valid credential came with the request. Never says which part was wrong."""

    code = "unauthenticated"


class ForbiddenError(DomainError):
    """The caller is known, and their role does not permit this."""

    code = "forbidden"


class TooLargeError(DomainError):
    """The request or the resource is larger than a limit allows."""

    code = "tooLarge"


class UnsupportedMediaTypeError(DomainError):
    """The request's body is of a type that is not understood."""

    code = "unsupportedMediaType"


class UnavailableError(DomainError):
    """A service that Millrace stands on does not answer just now; trying again may help."""

    code = "unavailable"


class StepError(Exception):
    """Base of the errors by which the worker tells the state machine what to do.

    Step Functions matches on the class name, so these names are part of the compiled machines.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class StepFailed(StepError):  # noqa: N818 - the name is the ASL error name
    """Final: trying again cannot help."""


class StepTransient(StepError):  # noqa: N818 - the name is the ASL error name
    """Trying again later may help; the machine retries with backoff."""


class StepThrottled(StepError):  # noqa: N818 - the name is the ASL error name
    """The other system named the time to come back; the machine waits until then.

    The exception's text is that time and nothing else, because a Wait state reads it.
    """

    def __init__(self, code: str, message: str, until: datetime) -> None:
        super().__init__(code, message)
        self.args = (rfc3339(until),)
        self.until = until


class StepPartialSuccess(StepError):  # noqa: N818 - the name is the ASL error name
    """Some records failed and the step's strategy for that is to stop."""

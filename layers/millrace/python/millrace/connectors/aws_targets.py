"""The AWS services that flows read and write, what of them they may reach, and what errors mean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from millrace.domain.errors import StepFailed, StepTransient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_THROTTLED: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestLimitExceeded",
        "ProvisionedThroughputExceededException",
        "TooManyRequestsException",
        "LimitExceededException",
        "SlowDown",
        "KmsThrottled",
    }
)
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "KmsAccessDenied",
        "UnauthorizedOperation",
    }
)
_MISSING: Final = frozenset(
    {
        "NoSuchBucket",
        "ResourceNotFoundException",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
    }
)


class AwsRefused(Exception):  # noqa: N818 - named for the answer, not for a fault of ours
    """The service does not take what it was given; the caller knows which records that means."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class AwsTargets:
    """Clients, each made when it is first used, and the names that flows may reach.

    The worker's role reaches the bundle's own table and bucket too, which hold all workspaces. So
    the names are compared here as well as in the role's policy.
    """

    s3: "Callable[[], S3Client]"
    dynamodb: "Callable[[], DynamoDBClient]"
    sqs: "Callable[[], SQSClient]"
    prefix: str
    own: frozenset[str]

    def check(self, kind: str, name: str, how: str = "write to") -> None:
        """Raise StepFailed for a resource that is not meant for flows."""
        if not self.prefix or not name.startswith(self.prefix) or name in self.own:
            message = (
                f"flows do not {how} {kind} {name!r}; "
                f"the names of those that they may begin with {self.prefix!r}"
            )
            raise StepFailed("targetNotAllowed", message)


@contextmanager
def reaching(target: str, how: str = "write to") -> Iterator[None]:
    """Tell what an error of AWS means for the step.

    Raises:
        StepTransient: the service is in trouble, or there are too many requests.
        StepFailed: the target is not there, or the worker's role may not reach it.
        AwsRefused: it does not take what it was given.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        told = error.response.get("Error", {}).get("Message", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        message = f"{target}: {code}: {told}" if told else f"{target}: {code}"
        if code in _THROTTLED or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise StepTransient("throttled", message) from error
        if code in _DENIED:
            denied = f"the worker's role may not {how} {target}; {code}: {told}"
            raise StepFailed("accessDenied", denied) from error
        if code in _MISSING:
            raise StepFailed("targetMissing", f"there is no {target}") from error
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise StepTransient(f"http{status}", message) from error
        raise AwsRefused(code, message) from error
    except ParamValidationError as error:
        raise AwsRefused("invalid", f"{target}: {error}") from error
    except BotoCoreError as error:
        raise StepTransient("awsUnreachable", f"{target}: {error}") from error

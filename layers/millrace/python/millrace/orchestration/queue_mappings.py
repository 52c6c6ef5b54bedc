"""Queues whose messages start runs, by event source mappings of the trigger function."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from millrace import limits
from millrace.domain.errors import ConflictError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef

_GONE: Final = frozenset({"ResourceNotFoundException"})
_THERE: Final = frozenset({"ResourceConflictException"})
_REFUSED: Final = frozenset({"InvalidParameterValueException", "ResourceNotFoundException"})
_MAY_PASS: Final = frozenset({"ResourceInUseException", "TooManyRequestsException"})
_SERVER_ERROR: Final = 500


class QueueMappings:
    """The `Queues` port: a mapping for each queue, from the queue to the trigger function.

    `arn_prefix` is what the ARN of each queue of the account and region starts with, `prefix` what
    the names of those do that the function's role may read.
    """

    def __init__(
        self,
        connect: "Callable[[], LambdaClient]",
        function_arn: str,
        arn_prefix: str,
        prefix: str,
    ) -> None:
        self._connect = connect
        self._function_arn = function_arn
        self._arn_prefix = arn_prefix
        self.prefix = prefix

    @property
    def _client(self) -> "LambdaClient":
        return self._connect()

    def connect(self, name: str) -> None:
        """Create the mapping, or enable the one that is there.

        The function names the messages that it could not deal with, and only those come again.
        """
        with _unless_unavailable(), _told(name):
            for mapping in self._mappings(name):
                if mapping["State"] == "Deleting":
                    raise UnavailableError(f"queue {name!r} is still being disconnected")
                if mapping["State"] in {"Disabled", "Disabling"}:
                    self._client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
                return
            try:
                self._client.create_event_source_mapping(
                    EventSourceArn=f"{self._arn_prefix}{name}",
                    FunctionName=self._function_arn,
                    BatchSize=limits.QUEUE_BATCH,
                    FunctionResponseTypes=["ReportBatchItemFailures"],
                    Enabled=True,
                )
            except ClientError as error:
                if _code(error) not in _THERE:
                    raise

    def disconnect(self, name: str) -> None:
        """Delete the mapping if it is there."""
        with _unless_unavailable():
            for mapping in self._mappings(name):
                try:
                    if mapping["State"] != "Deleting":
                        self._client.delete_event_source_mapping(UUID=mapping["UUID"])
                except ClientError as error:
                    if _code(error) not in _GONE:
                        raise

    def _mappings(self, name: str) -> "list[EventSourceMappingConfigurationTypeDef]":
        found = self._client.list_event_source_mappings(
            EventSourceArn=f"{self._arn_prefix}{name}", FunctionName=self._function_arn
        )
        return found["EventSourceMappings"]


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Tell in AWS's words why a queue cannot be connected: it is missing, say."""
    try:
        yield
    except ClientError as error:
        if _code(error) not in _REFUSED:
            raise
        told = error.response.get("Error", {}).get("Message", "")
        raise ConflictError(f"queue {name!r} cannot be connected: {told}") from error


@contextmanager
def _unless_unavailable() -> Iterator[None]:
    """Tell trouble of the moment from what will not pass, such as a missing permission."""
    try:
        yield
    except BotoCoreError as error:
        raise UnavailableError("Lambda cannot be reached just now") from error
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status < _SERVER_ERROR and _code(error) not in _MAY_PASS:
            raise
        raise UnavailableError("Lambda takes no change of queues just now") from error

"""Compiled versions as Step Functions state machines."""

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from millrace.domain.errors import ConflictError, StepError, UnavailableError
from millrace.domain.flow import MachineKind
from millrace.domain.ports import Ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_stepfunctions import SFNClient


_SERVER_ERROR = 500
_CAUSE_LENGTH = 4_000


class StepFunctions:
    """The `Machines` port over AWS Step Functions.

    `connect_once` gives a client that never sends a request twice, since an EXPRESS machine would
    run twice. `arn_prefix` is what the ARN of each of our machines starts with, such as
    `arn:aws:states:eu-west-1:123456789012:stateMachine:millrace-`: IAM policies name the same.
    """

    def __init__(
        self,
        connect: "Callable[[], SFNClient]",
        role_arn: str,
        arn_prefix: str,
        connect_once: "Callable[[], SFNClient] | None" = None,
    ) -> None:
        self._connect = connect
        self._connect_once = connect_once or connect
        self._role_arn = role_arn
        self._arn_prefix = arn_prefix

    @property
    def _client(self) -> "SFNClient":
        return self._connect()

    def deploy(self, name: str, asl: str, kind: MachineKind) -> str:
        """Create the machine or bring it up to this definition; its ARN."""
        arn = f"{self._arn_prefix}{name}"
        try:
            self._client.create_state_machine(
                name=arn.rpartition(":")[2],
                definition=asl,
                roleArn=self._role_arn,
                type=kind,
                tracingConfiguration={"enabled": True},
            )
        except self._client.exceptions.StateMachineAlreadyExists:
            self._client.update_state_machine(
                stateMachineArn=arn,
                definition=asl,
                roleArn=self._role_arn,
                tracingConfiguration={"enabled": True},
            )
        return arn

    def start(self, machine_arn: str, name: str, data: dict[str, Any]) -> None:
        """Start an execution; one of that name that was already started is left alone.

        Raises ConflictError if the machine is gone, UnavailableError if Step Functions does not
        take the call just now.
        """
        try:
            self._client.start_execution(
                stateMachineArn=machine_arn, name=name, input=json.dumps(data)
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return
        except (
            self._client.exceptions.StateMachineDoesNotExist,
            self._client.exceptions.StateMachineDeleting,
        ) as error:
            raise ConflictError("the state machine of the version is gone; deploy it") from error
        except (BotoCoreError, ClientError) as error:
            raise _unavailable(error, "Step Functions does not start the run just now") from error

    def run(self, machine_arn: str, name: str, data: dict[str, Any]) -> Ended | None:
        """Start an execution of an EXPRESS machine and wait for its outcome.

        None if that is not known in time, or if the connection broke meanwhile: an execution that
        was started goes on by itself.
        """
        client = self._connect_once()
        try:
            told = client.start_sync_execution(
                stateMachineArn=machine_arn, name=name, input=json.dumps(data)
            )
        except (
            client.exceptions.StateMachineDoesNotExist,
            client.exceptions.StateMachineDeleting,
        ) as error:
            raise ConflictError("the state machine of the version is gone; deploy it") from error
        except (ClientError, ConnectTimeoutError, EndpointConnectionError) as error:
            if isinstance(error, ClientError) and _is_theirs(error):
                return None
            raise _unavailable(error, "Step Functions does not start the run just now") from error
        except BotoCoreError:
            return None
        return Ended(told["status"], json.loads(told.get("output") or "{}"))

    def stop(self, machine_arn: str, name: str) -> None:
        """Stop an execution; one that is over, or never was, is left alone.

        Raises UnavailableError if Step Functions does not take the call just now.
        """
        try:
            self._client.stop_execution(executionArn=_execution_arn(machine_arn, name))
        except self._client.exceptions.ExecutionDoesNotExist:
            return
        except (BotoCoreError, ClientError) as error:
            raise _unavailable(error, "Step Functions does not stop the run just now") from error

    def outcome(self, machine_arn: str, name: str) -> str | None:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED; None if there is no such execution."""
        arn = _execution_arn(machine_arn, name)
        try:
            return self._client.describe_execution(executionArn=arn)["status"]
        except self._client.exceptions.ExecutionDoesNotExist:
            return None

    def delete(self, machine_arn: str) -> None:
        """Delete a machine; running executions end first."""
        self._client.delete_state_machine(stateMachineArn=machine_arn)

    def end_task(self, token: str, error: StepError | None = None) -> None:
        """Tell the execution that waits with this token how its step ended.

        The error looks as if the worker had raised it, so the machine needs no other words for it.
        """
        exceptions = self._client.exceptions
        try:
            if error is None:
                self._client.send_task_success(taskToken=token, output="{}")
            else:
                name = type(error).__name__
                told = {"errorType": name, "errorMessage": error.message[:_CAUSE_LENGTH]}
                self._client.send_task_failure(taskToken=token, error=name, cause=json.dumps(told))
        except (exceptions.TaskDoesNotExist, exceptions.TaskTimedOut, exceptions.InvalidToken):
            return
        except (BotoCoreError, ClientError) as failure:
            message = "Step Functions takes no results just now"
            raise _unavailable(failure, message) from failure


def _execution_arn(machine_arn: str, name: str) -> str:
    return f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"


def _unavailable(error: BotoCoreError | ClientError, message: str) -> Exception:
    """What to raise: a missing permission, say, is to be seen and not waited for."""
    if isinstance(error, ClientError) and not _may_pass(error):
        return error
    return UnavailableError(message)


def _may_pass(error: ClientError) -> bool:
    """Whether a refusal is one of the moment: a throttle, a quota of executions, or AWS's own."""
    code = error.response.get("Error", {}).get("Code", "")
    return _is_theirs(error) or "Throttl" in code or code == "ExecutionLimitExceeded"


def _is_theirs(error: ClientError) -> bool:
    """Whether AWS failed, and does not say whether before or after it did what was asked."""
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= _SERVER_ERROR

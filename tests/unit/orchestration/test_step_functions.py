"""Compiled versions as state machines: deployed twice, started twice, asked about afterwards."""

import json
import time
from itertools import cycle
from queue import Queue
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.httpsession import URLLib3Session
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from tests.support.aws import ENVIRONMENT, REGION, simulated_aws
from tests.support.samples import export_step, import_step

from millrace import compiler, limits
from millrace.config import Config
from millrace.domain.errors import ConflictError, StepError, StepFailed, UnavailableError
from millrace.domain.flow import FlowSettings
from millrace.domain.ports import Ended
from millrace.orchestration.step_functions import StepFunctions
from millrace.storage.memory import MemoryMachines
from millrace.usecases.definitions import to_definition
from millrace.wiring import aws_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import OperationModel
    from mypy_boto3_stepfunctions import SFNClient

DATA = {"workspaceId": "ws_1", "runId": "run_1", "attempt": 1}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
ROLE = ENVIRONMENT["MILLRACE_MACHINE_ROLE_ARN"]
PREFIX = ENVIRONMENT["MILLRACE_MACHINE_ARN_PREFIX"]


def asl(name: str = "read") -> str:
    """The definition of a small flow."""
    steps = (export_step(name), import_step(depends_on=(name,)))
    definition = to_definition(FlowSettings(name="orders"), steps)
    return compiler.compile_flow(definition, compiler.Targets()).asl


@pytest.fixture
def client() -> "Iterator[SFNClient]":
    """Step Functions that accepts machines and lets executions run for ever."""
    with simulated_aws():
        yield boto3.client("stepfunctions")


@pytest.fixture
def machines(client: "SFNClient") -> StepFunctions:
    """The adapter under test."""
    return StepFunctions(lambda: client, ROLE, PREFIX)


def refuse(client: "SFNClient", operation: str, code: str) -> None:
    """Make Step Functions answer with an error that AWS gives where moto does not."""
    response: Any = {"Error": {"Code": code, "Message": code}}
    error: Any = client.exceptions.from_code(code)

    def hook(**_: object) -> None:
        raise error(response, operation)

    client.meta.events.register(f"before-call.sfn.{operation}", hook)


def test_a_machine_is_named_as_policies_name_it(
    machines: StepFunctions, client: "SFNClient"
) -> None:
    """The ARN starts with the prefix that IAM policies allow, and the role is the machines'."""
    arn = machines.deploy("flow_1-v1", asl(), "STANDARD")
    assert arn == f"{PREFIX}flow_1-v1"
    machine = client.describe_state_machine(stateMachineArn=arn)
    assert (machine["roleArn"], machine["type"]) == (ROLE, "STANDARD")


def test_deploying_again_changes_the_definition(
    machines: StepFunctions, client: "SFNClient"
) -> None:
    """A try that follows one that failed half way takes up the machine that is there."""
    first = machines.deploy("flow_1-v1", asl(), "STANDARD")
    refuse(client, "CreateStateMachine", "StateMachineAlreadyExists")
    assert machines.deploy("flow_1-v1", asl("download"), "STANDARD") == first
    definition = client.describe_state_machine(stateMachineArn=first)["definition"]
    assert '"download"' in definition


def test_machines_are_traced(machines: StepFunctions, client: "SFNClient") -> None:
    """A new one, and one that is brought up to date: steps are parts of their run's trace."""
    asked: list[tuple[str, object]] = []

    def hook(params: dict[str, Any], model: "OperationModel", **_: object) -> None:
        asked.append((model.name, json.loads(params["body"]).get("tracingConfiguration")))

    events: Any = client.meta.events
    for operation in ("CreateStateMachine", "UpdateStateMachine"):
        events.register_first(f"before-call.sfn.{operation}", hook)
    machines.deploy("flow_1-v1", asl(), "STANDARD")
    refuse(client, "CreateStateMachine", "StateMachineAlreadyExists")
    machines.deploy("flow_1-v1", asl("download"), "STANDARD")
    assert dict(asked) == {
        "CreateStateMachine": {"enabled": True},
        "UpdateStateMachine": {"enabled": True},
    }


def test_an_execution_is_started_once(machines: StepFunctions, client: "SFNClient") -> None:
    """Starting the same run again is harmless, and its input is what the worker needs."""
    arn = machines.deploy("flow_1-v1", asl(), "STANDARD")
    machines.start(arn, "run_1", DATA)
    machines.start(arn, "run_1", DATA)
    (execution,) = client.list_executions(stateMachineArn=arn)["executions"]
    told = client.describe_execution(executionArn=execution["executionArn"])["input"]
    assert json.loads(told) == DATA


def test_the_outcome_of_an_execution_is_known(machines: StepFunctions, client: "SFNClient") -> None:
    """Running, stopped, never started: each is told apart."""
    arn = machines.deploy("flow_1-v1", asl(), "STANDARD")
    machines.start(arn, "run_1", DATA)
    assert machines.outcome(arn, "run_1") == "RUNNING"
    client.stop_execution(executionArn=f"{arn.replace('stateMachine', 'execution')}:run_1")
    assert machines.outcome(arn, "run_1") == "ABORTED"
    assert machines.outcome(arn, "run_2") is None


def test_a_machine_that_is_gone_cannot_be_started(machines: StepFunctions) -> None:
    """The caller is told to deploy, not shown an error of AWS."""
    arn = machines.deploy("flow_1-v1", asl(), "STANDARD")
    machines.delete(arn)
    with pytest.raises(ConflictError, match="deploy"):
        machines.start(arn, "run_1", DATA)


def test_a_machine_that_is_being_deleted_cannot_be_started(
    machines: StepFunctions, client: "SFNClient"
) -> None:
    """Step Functions deletes in its own time; meanwhile the machine counts as gone."""
    refuse(client, "StartExecution", "StateMachineDeleting")
    with pytest.raises(ConflictError, match="deploy"):
        machines.start(f"{PREFIX}flow_1-v1", "run_1", DATA)


def test_the_machines_in_memory_keep_the_same_promises() -> None:
    """Deployed twice, started twice, asked about: as on AWS."""
    machines = MemoryMachines()
    arn = machines.deploy("flow_1-v1", "{}", "STANDARD")
    assert machines.deploy("flow_1-v1", '{"a":1}', "STANDARD") == arn
    machines.start(arn, "run_1", DATA)
    machines.start(arn, "run_1", dict(DATA))
    assert machines.started == {(arn, "run_1"): DATA}
    assert machines.outcome(arn, "run_1") == "RUNNING"
    assert machines.outcome(arn, "run_2") is None
    for name in ("run_1", "run_1", "run_2"):
        machines.stop(arn, name)
    assert machines.outcome(arn, "run_1") == "ABORTED"
    assert machines.outcome(arn, "run_2") is None
    machines.delete(arn)
    with pytest.raises(ConflictError, match="deploy"):
        machines.start(arn, "run_2", DATA)


@pytest.mark.parametrize("code", ["ThrottlingException", "ExecutionLimitExceeded"])
def test_a_start_that_is_refused_for_the_moment_may_be_made_up_for(
    machines: StepFunctions, client: "SFNClient", code: str
) -> None:
    """A throttle is no fault of the run's: it is accepted, and started later."""
    arn = machines.deploy("flow_1-v1", asl(), "STANDARD")
    refuse(client, "StartExecution", code)
    with pytest.raises(UnavailableError):
        machines.start(arn, "run_1", DATA)


def test_a_start_that_is_forbidden_is_not_taken_for_a_throttle(
    machines: StepFunctions, client: "SFNClient"
) -> None:
    """A role that lacks a permission is seen at once instead of leaving runs unstarted."""
    arn = machines.deploy("flow_1-v1", asl(), "STANDARD")
    refuse(client, "StartExecution", "AccessDeniedException")
    with pytest.raises(ClientError):
        machines.start(arn, "run_1", DATA)


def synchronous(client: "SFNClient") -> StepFunctions:
    """The adapter with a client of its own for executions that are waited for."""

    def connect() -> "SFNClient":
        raise AssertionError("a client that may send a request twice was used")

    return StepFunctions(connect, ROLE, PREFIX, lambda: client)


def answer_sync(client: "SFNClient", *answers: dict[str, Any] | Exception) -> list[dict[str, Any]]:
    """Make Step Functions answer StartSyncExecution, which moto does not know; what is asked."""
    coming = cycle(answers)
    asked: list[dict[str, Any]] = []

    def hook(params: dict[str, Any], **_: object) -> tuple[Any, dict[str, Any]]:
        asked.append(json.loads(params["body"]))
        answer = next(coming)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(status_code=200), answer

    events: Any = client.meta.events  # typed as if a hook could not answer
    events.register("before-call.sfn.StartSyncExecution", hook)
    return asked


def test_a_synchronous_machine_is_run_to_its_end(client: "SFNClient") -> None:
    """Once, under the run's name, with what the worker needs."""
    asked = answer_sync(client, {"status": "FAILED"}, {"status": "SUCCEEDED", "output": '{"n": 1}'})
    machines = synchronous(client)
    assert machines.run(f"{PREFIX}flow_1-v1-sync", "run_1", DATA) == Ended("FAILED")
    assert machines.run(f"{PREFIX}flow_1-v1-sync", "run_1", DATA) == Ended("SUCCEEDED", {"n": 1})
    assert (asked[0]["name"], json.loads(asked[0]["input"])) == ("run_1", DATA)


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="https://states"),
        ConnectionClosedError(endpoint_url="https://states"),
        ClientError(
            {"Error": {"Code": "InternalServerError"}, "ResponseMetadata": {"HTTPStatusCode": 500}},  # type: ignore[typeddict-item] # the rest of it says nothing here
            "StartSyncExecution",
        ),
    ],
    ids=["time is over", "connection lost", "AWS failed"],
)
def test_an_end_that_is_not_known_is_not_asked_for_by_another_start(
    client: "SFNClient", error: Exception
) -> None:
    """It may be under way: an EXPRESS machine would run twice."""
    asked = answer_sync(client, error)
    assert synchronous(client).run(f"{PREFIX}flow_1-v1-sync", "run_1", DATA) is None
    assert len(asked) == 1


@pytest.mark.parametrize("code", ["ThrottlingException", "ExecutionLimitExceeded"])
def test_r5_a_synchronous_start_that_is_refused_may_be_tried_again(
    client: "SFNClient", code: str
) -> None:
    """Nothing has run."""
    refuse(client, "StartSyncExecution", code)
    with pytest.raises(UnavailableError):
        synchronous(client).run(f"{PREFIX}flow_1-v1-sync", "run_1", DATA)
    gone = EndpointConnectionError(endpoint_url="https://states")
    other = boto3.client("stepfunctions")
    answer_sync(other, gone)
    with pytest.raises(UnavailableError):
        synchronous(other).run(f"{PREFIX}flow_1-v1-sync", "run_1", DATA)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("StateMachineDoesNotExist", ConflictError),
        ("StateMachineDeleting", ConflictError),
        ("AccessDeniedException", ClientError),
    ],
)
def test_a_synchronous_machine_that_cannot_be_run_says_why(
    client: "SFNClient", code: str, error: type[Exception]
) -> None:
    """Gone is to be deployed again; a missing permission is seen as one."""
    refuse(client, "StartSyncExecution", code)
    with pytest.raises(error):
        synchronous(client).run(f"{PREFIX}flow_1-v1-sync", "run_1", DATA)


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, f"https://sync-states.{REGION}.amazonaws.com/"),
        ({"MILLRACE_ENDPOINT_URL": "http://127.0.0.1:4566"}, "http://127.0.0.1:4566/"),
        (
            {
                "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
                "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            },
            "http://127.0.0.1:4566/",
        ),
    ],
    ids=["AWS", "a stand-in", "the local stack"],
)
def test_a_synchronous_start_is_sent_once_to_the_right_host(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], address: str
) -> None:
    """As the functions are wired: AWS has a host of its own for it, a stand-in has not."""
    sent: list[str] = []

    def send(_: object, request: AWSPreparedRequest) -> None:
        sent.append(request.url)
        raise ConnectionClosedError(endpoint_url=request.url)

    monkeypatch.setattr(URLLib3Session, "send", send)
    for name, value in {**ENVIRONMENT, **CREDENTIALS, **environment}.items():
        monkeypatch.setenv(name, value)
    machines = aws_context(Config.from_environment()).machines
    assert machines.run(f"{PREFIX}flow_1-v1-sync", "run_1", DATA) is None
    assert sent == [address]


def test_a_synchronous_start_is_waited_for_as_long_as_its_caller_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shorter time would leave runs that end in time without their answer."""
    waited: list[float] = []

    def send(session: URLLib3Session, request: AWSPreparedRequest) -> None:
        waited.append(session._timeout.read_timeout)  # type: ignore[attr-defined] # botocore's own
        raise ConnectionClosedError(endpoint_url=request.url)

    monkeypatch.setattr(URLLib3Session, "send", send)
    for name, value in {**ENVIRONMENT, **CREDENTIALS}.items():
        monkeypatch.setenv(name, value)
    machines = aws_context(Config.from_environment()).machines
    assert machines.run(f"{PREFIX}flow_1-v1-sync", "run_1", DATA) is None
    assert waited == [limits.RUN_WAIT_SECONDS]


def test_an_execution_is_stopped_however_often_it_is_asked(machines: StepFunctions) -> None:
    """Running, over, and one that never was."""
    arn = machines.deploy("flow_1-v1", asl(), "STANDARD")
    machines.start(arn, "run_1", DATA)
    for name in ("run_1", "run_1", "run_2"):
        machines.stop(arn, name)
    assert machines.outcome(arn, "run_1") == "ABORTED"
    assert machines.outcome(arn, "run_2") is None


def test_a_stop_that_is_refused_for_the_moment_may_be_made_up_for(
    machines: StepFunctions, client: "SFNClient"
) -> None:
    """The caller is told to try again; a missing permission is seen as one."""
    arn = machines.deploy("flow_1-v1", asl(), "STANDARD")
    refuse(client, "StopExecution", "ThrottlingException")
    with pytest.raises(UnavailableError):
        machines.stop(arn, "run_1")


def waiting_machine(client: "SFNClient") -> str:
    """An execution that waits by a token, which the function that it calls is handed."""
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
        "End": True,
    }
    definition = json.dumps({"StartAt": "wait", "States": {"wait": task}})
    made = client.create_state_machine(name="waiting", definition=definition, roleArn=ROLE)
    started = client.start_execution(stateMachineArn=made["stateMachineArn"], name="run_1")
    return started["executionArn"]


@pytest.mark.parametrize("error", [None, StepFailed("subflowFailed", "it failed")])
def test_an_execution_that_waits_is_told_how_its_step_ended(
    monkeypatch: pytest.MonkeyPatch, error: StepError | None
) -> None:
    """By the names that the machine goes by; told again it is too late, and no fault."""
    tokens: Queue[str] = Queue()

    def invoke(*, parameters: dict[str, Any], **_: object) -> dict[str, Any]:
        tokens.put(json.loads(parameters["Payload"])["token"])
        return {"StatusCode": 200, "Payload": {}}

    monkeypatch.setattr(lambda_eval_utils, "_invoke_lambda_function", invoke)
    with simulated_aws(machines_run=True):
        client = boto3.client("stepfunctions")
        machines = StepFunctions(lambda: client, ROLE, PREFIX)
        arn = waiting_machine(client)
        token = tokens.get(timeout=10)
        machines.end_task(token, error)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = client.describe_execution(executionArn=arn)
            if found["status"] != "RUNNING":
                break
        assert found["status"] == ("SUCCEEDED" if error is None else "FAILED")
        machines.end_task(token, error)


@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_a_token_that_nobody_waits_with_is_left_alone(
    machines: StepFunctions, client: "SFNClient", code: str
) -> None:
    """The run that waited is over, or its step was tried again."""
    refuse(client, "SendTaskSuccess", code)
    refuse(client, "SendTaskFailure", code)
    machines.end_task("token-1")
    machines.end_task("token-1", StepFailed("subflowFailed", "it failed"))


def test_a_wait_that_cannot_be_ended_now_is_told_so(
    machines: StepFunctions, client: "SFNClient"
) -> None:
    """Whoever tells of the end tries again."""
    refuse(client, "SendTaskSuccess", "ThrottlingException")
    with pytest.raises(UnavailableError):
        machines.end_task("token-1")

"""The local AWS treats functions, machines, schedules and templates as AWS does."""

import hashlib
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from tests.e2e.local_stacks import ENVIRONMENT, PATIENCE_SECONDS, PROJECT, stack_in

from millrace_local.environment import ensure_environment
from millrace_local.lifecycle import Stack, down, up

WORKERS = 4
LONG_SECONDS = PATIENCE_SECONDS + 0.5
ROLE = "arn:aws:iam::000000000000:role/machines"
PATIENCE_SECONDS = 15.0

type Invoke = Callable[..., Any]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Bring up one stack for all tests of this file, with waits of machines cut to a twentieth."""
    config = stack_in(tmp_path_factory.mktemp("launcher"), lambda_workers=WORKERS)
    stack = up(config)
    setting = json.dumps({"stepfunctions._SFN_WAIT_SCALE": 0.05}).encode()
    urllib.request.urlopen(  # noqa: S310 - the stack's own address
        f"{config.endpoint}/_ministack/config", data=setting
    ).close()
    yield stack
    down(config)


@pytest.fixture
def client(deployed: Stack) -> Callable[[str], Any]:
    """Make clients of any service of the stack."""
    session = deployed.config.session()
    make: Callable[..., Any] = session.client
    return lambda service: make(service, endpoint_url=deployed.config.endpoint)


@pytest.fixture
def invoke(deployed: Stack, client: Callable[[str], Any]) -> Invoke:
    """Invoke the probe; returns its answer, or the error object if it failed."""

    def call(do: str, **event: object) -> Any:  # noqa: ANN401 - whatever the probe returns
        answer = client("lambda").invoke(
            FunctionName=deployed.outputs["FunctionName"],
            Payload=json.dumps({"do": do, **event}),
        )
        return json.loads(answer["Payload"].read())

    return call


@pytest.fixture
def run_machine(client: Callable[[str], Any]) -> Callable[..., dict[str, Any]]:
    """Run a definition to its end; ``before_end`` is called with the execution's ARN."""

    def run(
        definition: dict[str, Any], before_end: Callable[[str], object] = lambda _arn: None
    ) -> dict[str, Any]:
        machines = client("stepfunctions")
        machine = machines.create_state_machine(
            name=f"m{uuid4().hex}", definition=json.dumps(definition), roleArn=ROLE
        )
        arn = machines.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
        before_end(arn)
        ended: dict[str, Any] = wait_for(
            lambda: (
                found
                if (found := machines.describe_execution(executionArn=arn))["status"] != "RUNNING"
                else None
            )
        )
        return ended

    return run


def wait_for[T](look: Callable[[], T | None]) -> T:
    """Return what ``look`` finds once it finds something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def task(stack: Stack, payload: dict[str, Any], **fields: object) -> dict[str, Any]:
    """Return a Task state that calls the probe and ends the machine."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": stack.outputs["FunctionName"], "Payload": payload},
        "End": True,
        **fields,
    }


def request(
    stack: Stack, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Call the HTTP API and return status, headers and body, of errors too."""
    call = urllib.request.Request(  # noqa: S310 - the stack's own address
        f"{stack.api_url}{path}", data=body, method=method, headers=headers
    )
    try:
        with urllib.request.urlopen(call) as answer:  # noqa: S310 - the same
            return answer.status, dict(answer.headers), answer.read()
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_an_error_has_its_own_name_and_the_worker_survives_it(invoke: Invoke) -> None:
    """A handler's exception reaches the caller by class name and message; the worker stays warm."""
    before = invoke("describe")
    failed = invoke("fail")
    after = invoke("describe")
    assert (failed["errorType"], failed["errorMessage"]) == ("ThrottledError", "try later")
    assert "in fail" in failed["stackTrace"][-1]
    assert (after["pid"], after["calls"]) == (before["pid"], before["calls"] + 2)


def test_a_crash_is_an_exit_error_and_the_next_call_works(invoke: Invoke) -> None:
    """A process that dies is reported as AWS does and replaced."""
    assert invoke("leave")["errorType"] == "Runtime.ExitError"
    assert invoke("echo", sent=1)["sent"] == 1


def test_a_result_that_json_cannot_hold_is_a_marshal_error(invoke: Invoke) -> None:
    """What cannot be returned is named, and is the function's error."""
    failed = invoke("spill")
    assert failed["errorType"] == "Runtime.MarshalError"
    assert "PosixPath" in failed["errorMessage"]


def test_a_function_that_overruns_is_timed_out(invoke: Invoke) -> None:
    """The function's Timeout ends it with AWS's error type."""
    assert invoke("rest", seconds=30)["errorType"] == "Sandbox.Timedout"


def test_a_handler_sees_what_it_would_see_on_aws(deployed: Stack, invoke: Invoke) -> None:
    """Runtime, layer, variables and endpoint are the function's; nothing else can be imported."""
    seen = invoke("describe")
    assert seen["version"] == [3, 13]
    assert seen["origin"] == "layer"
    assert seen["greeting"] == "hello"
    assert seen["endpoint"] == deployed.config.endpoint
    assert seen["arn"] == deployed.outputs["FunctionArn"]
    assert 0 < seen["remaining"] <= 2000
    assert not seen["sees_ministack"]
    assert not seen["sees_pydantic"]


def test_a_function_is_refused_what_its_role_does_not_allow(
    client: Callable[[str], Any], invoke: Invoke
) -> None:
    """By name, though what it asks for is there; what it is allowed the other tests do."""
    client("ssm").put_parameter(Name="/of/others", Value="a", Type="String")
    refused = invoke("pry")
    assert "AccessDenied" in refused["errorMessage"]
    assert "ssm:GetParameter" in refused["errorMessage"]


def test_concurrent_calls_run_in_workers_of_their_own(invoke: Invoke) -> None:
    """Calls that take long do not wait for each other, even where there are fewer cores."""
    with ThreadPoolExecutor(3) as threads:
        seen = list(threads.map(lambda _: invoke("rest", seconds=LONG_SECONDS), range(3)))
    assert len({each["pid"] for each in seen}) == 3


def test_workers_never_exceed_their_ceiling(client: Callable[[str], Any], invoke: Invoke) -> None:
    """More calls than workers all succeed, and another function takes an idle worker's place."""

    def busy_workers() -> set[int]:
        with ThreadPoolExecutor(WORKERS * 2) as threads:
            seen = list(
                threads.map(lambda _: invoke("rest", seconds=LONG_SECONDS), range(WORKERS * 2))
            )
        return {each["pid"] for each in seen}

    before = busy_workers()
    assert len(before) == WORKERS
    functions = client("lambda").list_functions()["Functions"]
    guard = next(each["FunctionName"] for each in functions if "Guard" in each["FunctionName"])
    answer = client("lambda").invoke(FunctionName=guard, Payload='{"headers": {}}')
    assert "FunctionError" not in answer
    after = busy_workers()
    assert len(after) == WORKERS
    assert len(after & before) == WORKERS - 1


def test_what_a_handler_prints_is_in_both_logs(
    deployed: Stack, client: Callable[[str], Any], invoke: Invoke
) -> None:
    """Both streams reach CloudWatch Logs and the stack's own log."""
    invoke("talk")
    group = f"/aws/lambda/{deployed.outputs['FunctionName']}"
    lines = wait_for(
        lambda: [
            event["message"]
            for event in client("logs").filter_log_events(logGroupName=group)["events"]
            if event["message"].startswith("said on")
        ]
    )
    assert lines == ["said on stdout", "said on stderr"]
    assert "said on stderr" in deployed.config.log.read_text()


def test_retry_matches_the_error_by_name(
    deployed: Stack, run_machine: Callable[..., dict[str, Any]]
) -> None:
    """A retrier that names the exception's class retries it, with cap and jitter accepted."""
    retrier = {
        "ErrorEquals": ["ThrottledError"],
        "IntervalSeconds": 1,
        "MaxDelaySeconds": 2,
        "JitterStrategy": "FULL",
        "MaxAttempts": 3,
    }
    state = task(deployed, {"do": "fail", "until": 3, "key": uuid4().hex}, Retry=[retrier])
    ended = run_machine({"StartAt": "A", "States": {"A": state}})
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"])["Payload"] == {"attempts": 3}


def test_starting_the_same_execution_twice_starts_one(
    deployed: Stack, client: Callable[[str], Any]
) -> None:
    """While it runs, the same name and input answer as before; another input is refused."""
    machines = client("stepfunctions")
    definition = {"StartAt": "A", "States": {"A": task(deployed, {"do": "rest", "seconds": 1})}}
    machine = machines.create_state_machine(
        name=f"m{uuid4().hex}", definition=json.dumps(definition), roleArn=ROLE
    )
    start = {"stateMachineArn": machine["stateMachineArn"], "name": "one", "input": "{}"}
    first = machines.start_execution(**start)
    again = machines.start_execution(**start)
    assert again["executionArn"] == first["executionArn"]
    with pytest.raises(machines.exceptions.ExecutionAlreadyExists):
        machines.start_execution(**{**start, "input": '{"other": 1}'})
    machines.stop_execution(executionArn=first["executionArn"])


def test_an_express_machine_answers_at_once(deployed: Stack, client: Callable[[str], Any]) -> None:
    """StartSyncExecution returns the result to the caller."""
    machines = client("stepfunctions")
    definition = {"StartAt": "A", "States": {"A": task(deployed, {"do": "echo", "sent": 7})}}
    machine = machines.create_state_machine(
        name=f"m{uuid4().hex}",
        type="EXPRESS",
        definition=json.dumps(definition),
        roleArn=ROLE,
    )
    ended = machines.start_sync_execution(stateMachineArn=machine["stateMachineArn"])
    assert json.loads(ended["output"])["Payload"]["sent"] == 7


def test_catch_matches_the_error_by_name(
    deployed: Stack, run_machine: Callable[..., dict[str, Any]]
) -> None:
    """A catcher that names another error does not match, one that names this error does."""
    catch = [
        {"ErrorEquals": ["OtherError"], "Next": "Wrong"},
        {"ErrorEquals": ["ThrottledError"], "Next": "Right"},
    ]
    states = {
        "A": task(deployed, {"do": "fail"}, Catch=catch),
        "Wrong": {"Type": "Fail"},
        "Right": {"Type": "Succeed"},
    }
    ended = run_machine({"StartAt": "A", "States": states})
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"])["Error"] == "ThrottledError"


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])
def test_every_end_of_a_machine_is_an_event(
    status: str,
    deployed: Stack,
    client: Callable[[str], Any],
    run_machine: Callable[..., dict[str, Any]],
) -> None:
    """The rule's target learns each terminal status, once and of the right kind."""
    payload = {"do": "fail"} if status == "FAILED" else {"do": "rest", "seconds": 0.5}
    definition: dict[str, Any] = {"StartAt": "A", "States": {"A": task(deployed, payload)}}
    if status == "TIMED_OUT":
        definition["TimeoutSeconds"] = 1  # a twentieth of it, see the fixture
    machines = client("stepfunctions")

    def stop(arn: str) -> None:
        if status == "ABORTED":
            machines.stop_execution(executionArn=arn)

    ended = run_machine(definition, stop)
    assert ended["status"] == status
    seen = wait_for(
        lambda: client("dynamodb").query(
            TableName=deployed.outputs["TableName"],
            KeyConditionExpression="pk = :arn",
            ExpressionAttributeValues={":arn": {"S": ended["executionArn"]}},
        )["Items"]
    )
    assert [item["sk"]["S"] for item in seen] == [status]


def test_a_schedule_fires_in_its_zone_with_its_context(
    deployed: Stack, client: Callable[[str], Any]
) -> None:
    """A Tokyo time is not read as UTC, and the input holds the time that was meant."""
    key = uuid4().hex
    moment = datetime.now(ZoneInfo("Asia/Tokyo")).replace(microsecond=0) + timedelta(seconds=1)
    event = {"do": "schedule", "key": key, "time": "<aws.scheduler.scheduled-time>"}
    client("scheduler").create_schedule(
        Name=key,
        ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
        ScheduleExpressionTimezone="Asia/Tokyo",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": deployed.outputs["FunctionArn"],
            "RoleArn": ROLE,
            "Input": json.dumps(event),
        },
    )
    item = wait_for(
        lambda: (
            client("dynamodb")
            .get_item(
                TableName=deployed.outputs["TableName"],
                Key={"pk": {"S": key}, "sk": {"S": "schedule"}},
            )
            .get("Item")
        )
    )
    assert item["time"]["S"] == f"{moment.astimezone(ZoneInfo('UTC')):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    ("expression", "zone"),
    [("cron(0 2 * * *)", "UTC"), ("rate(0 weeks)", "UTC"), ("rate(1 hour)", "Mars/Olympus")],
    ids=["five-fields", "no-such-unit", "no-such-zone"],
)
def test_a_schedule_that_aws_refuses_is_refused(
    expression: str, zone: str, client: Callable[[str], Any], deployed: Stack
) -> None:
    """A schedule that would never fire is an error when it is created."""
    scheduler = client("scheduler")
    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.create_schedule(
            Name=uuid4().hex,
            ScheduleExpression=expression,
            ScheduleExpressionTimezone=zone,
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": deployed.outputs["FunctionArn"], "RoleArn": ROLE},
        )


@pytest.mark.parametrize(
    ("token", "status", "body"),
    [
        (None, 401, b'{"message":"Unauthorized"}'),
        ("wrong", 403, b'{"message": "Forbidden"}'),
        ("let-me-in", 200, b"w1"),
    ],
    ids=["no-token", "wrong-token", "right-token"],
)
def test_the_authorizer_of_the_template_guards_its_route(
    token: str | None, status: int, body: bytes, deployed: Stack
) -> None:
    """Without a token 401, with a wrong one 403, else its context reaches the function."""
    headers = {"Authorization": token} if token else {}
    answer = request(deployed, "GET", "/guarded", headers)
    assert (answer[0], answer[2]) == (status, body)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{"text": "é€\\u0000 \r\n\t"}'.encode() * 100_000),
        ("application/octet-stream", os.urandom(4 * 1024 * 1024)),
        ("application/x-www-form-urlencoded", b"a=1&b=%2F"),
    ],
    ids=["json", "binary-4MB", "form"],
)
def test_a_request_body_arrives_byte_for_byte(
    content_type: str, body: bytes, deployed: Stack
) -> None:
    """A webhook's signature can be computed over what the function gets."""
    status, headers, _ = request(
        deployed, "POST", "/hooks/h1", {"Content-Type": content_type}, body
    )
    assert status == 200
    assert headers["x-body-sha256"] == hashlib.sha256(body).hexdigest()


def test_cors_is_the_templates(deployed: Stack) -> None:
    """A preflight from the allowed origin is answered without a call of the function."""
    headers = {"Origin": "https://example.com", "Access-Control-Request-Method": "GET"}
    status, answered, _ = request(deployed, "OPTIONS", "/guarded", headers)
    assert status == 204
    assert answered["Access-Control-Allow-Origin"] == "https://example.com"


def test_the_tables_options_are_the_templates(
    deployed: Stack, client: Callable[[str], Any]
) -> None:
    """Time to live and point-in-time recovery, which MiniStack drops, are set."""
    table = {"TableName": deployed.outputs["TableName"]}
    ttl = client("dynamodb").describe_time_to_live(**table)["TimeToLiveDescription"]
    backups = client("dynamodb").describe_continuous_backups(**table)
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiresAt"}
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


def test_another_ministack_is_refused(tmp_path: Path) -> None:
    """A cure whose target has changed stops the start, in one line that names the version."""
    changed = (
        "from ministack.services import stepfunctions as changed\n"
        "changed._fail_execution = changed._add_event\n"
        "from millrace_local.launcher import step_functions\n"
        "step_functions.cure()\n"
    )
    ran = subprocess.run(  # noqa: S603 - the text above
        [ensure_environment(ENVIRONMENT, tmp_path / "log"), "-c", changed],
        env={"PYTHONPATH": str(PROJECT / "local")},
        capture_output=True,
        text=True,
        check=False,
    )
    last = ran.stderr.strip().splitlines()[-1]
    assert ran.returncode == 1
    assert "ChangedMiniStackError: ministack 1.5.33" in last
    assert "_fail_execution" in last

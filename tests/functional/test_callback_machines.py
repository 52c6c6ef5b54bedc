"""Callbacks of the ingress function as it is deployed, whose synchronous machines really run.

moto knows no StartSyncExecution: here it is an execution that is waited for.
"""

import json
from collections.abc import Callable
from contextvars import Context
from random import Random
from types import SimpleNamespace
from typing import Any, NoReturn

import boto3
import pytest
from botocore.endpoint import Endpoint
from botocore.model import OperationModel
from tests.functional.test_engine import Engine, engine, process
from tests.support.app import Answer, LambdaContext, answer_of, http_event, load_handler
from tests.support.aws import BUCKET, ENVIRONMENT

__all__ = ["engine"]

type Json = Any
type Call = Callable[[Json], Answer]


def run_to_its_end(engine: Engine, asked: dict[str, str]) -> dict[str, str]:
    """What Step Functions answers to StartSyncExecution."""
    states = boto3.client("stepfunctions")
    arn = states.start_execution(**asked)["executionArn"]

    def told() -> dict[str, Any]:
        return dict(states.describe_execution(executionArn=arn))

    engine.until(lambda: told()["status"] != "RUNNING")
    return {name: value for name, value in told().items() if name in {"status", "output"}}


@pytest.fixture
def call(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls a callback of a synchronous flow that hands on the body."""
    send = Endpoint.make_request

    def run(endpoint: Endpoint, model: OperationModel, request: dict[str, Any]) -> Any:  # noqa: ANN401 - handed on
        if model.name != "StartSyncExecution":
            return send(endpoint, model, request)
        # What Step Functions does is not the function's doing.
        answer = Context().run(run_to_its_end, engine, json.loads(request["body"]))
        return SimpleNamespace(status_code=200), answer

    monkeypatch.setattr(Endpoint, "make_request", run)
    take_body = process("map", {"type": "map", "expression": "body"})
    flow = engine.flow(take_body, isSynchronous=True)
    callback = engine.client("POST", f"/v1/flows/{flow['id']}/callbacks", {}).body["id"]
    ingress = load_handler("ingress")

    def send_json(body: Json) -> Answer:
        given = {"Content-Type": "application/json"}
        path = f"/callbacks/{callback}"
        sent = http_event("ingress", "POST", path, json.dumps(body).encode(), given)
        sent["pathParameters"] = {"callbackId": callback}
        return answer_of(ingress(sent, LambdaContext()))

    return send_json


def run_of(engine: Engine, answer: Answer) -> dict[str, Json]:
    """The run that an answer tells of."""
    return engine.seen(answer.headers["millrace-run-id"])


def test_a_caller_gets_what_the_machine_made(engine: Engine, call: Call) -> None:
    """Within one request, with the run's id."""
    answer = call({"n": 1})
    assert (answer.status, answer.body) == (200, [{"n": 1}])
    run = run_of(engine, answer)
    assert (run["status"], run["trigger"]["source"]) == ("succeeded", "callback")


def test_a_caller_gets_a_result_of_any_size_that_an_answer_holds(call: Call) -> None:
    """What was too large for the step's item comes from the bucket."""
    text = "".join(Random(7).choices("abcdefghijklmnopqrstuvwxyz", k=50_000))
    answer = call({"text": text})
    assert (answer.status, answer.body) == (200, [{"text": text}])
    kept = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert any("/map/" in each["Key"] for each in kept)


def test_a_machine_that_broke_down_ends_its_run_for_the_caller(engine: Engine, call: Call) -> None:
    """Step Functions tells nobody else of the end of an EXPRESS execution."""

    def die(*_: object) -> NoReturn:
        raise MemoryError

    for name in ("MILLRACE_RUN_STEP_ARN", "MILLRACE_LIFECYCLE_ARN"):
        engine.handlers[ENVIRONMENT[name]] = die
    answer = call({"n": 1})
    assert (answer.status, answer.body["code"]) == (502, "runFailed")
    run = run_of(engine, answer)
    assert (run["status"], run["error"]["code"]) == ("failed", "machineFailed")

"""Tests of flows: which steps are carried out, how they end, and how much of them is shown."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support.functions import ScriptedFunctions
from tests.support.samples import (
    ALICE,
    export_step,
    filter_step,
    import_step,
    process_step,
)
from tests.support.time_and_ids import FakeClock
from tests.support.world import World

from millrace import limits
from millrace.domain.action import ProcessAction
from millrace.domain.authentication import BearerAuth
from millrace.domain.connection import ConnectionInput
from millrace.domain.errors import NotFoundError, StepFailed, StepTransient
from millrace.domain.flow import Flow
from millrace.domain.operations import FunctionOperation
from millrace.domain.step import ExceptionBehavior, Step
from millrace.domain.trial import ShownRecords, StepTrial, Trial
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.flows import get_flow
from millrace.usecases.trial_results import get_trial, list_trials
from millrace.usecases.trial_shown import Display
from millrace.usecases.trials import StepTrialRequest, TrialRequest, try_flow, try_step

CONTINUE = (ExceptionBehavior(type="failure", strategy="continue"),)
STOP = (ExceptionBehavior(type="partial_success", strategy="stop"),)


@dataclass
class RunningClock(FakeClock):
    """Moves on each time that it is asked."""

    step: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        """The time that is now."""
        self.now += self.step
        return self.now


def tried(world: World, *steps: Step, **request: Any) -> Trial:  # noqa: ANN401 - JSON
    """A new flow of these steps, tested; where a step reads, from a connection that is there."""
    return try_flow(world.context, ALICE, flow(world, *steps).id, TrialRequest(**request))


def flow(world: World, *steps: Step, **settings: Any) -> Flow:  # noqa: ANN401 - JSON
    """A new flow of these steps over a new connection."""
    connection = world.connection(f"shop-{world.new_id.made}")
    placed = [
        step.model_copy(
            update={"action": step.action.model_copy(update={"connection_id": connection.id})}
        )
        if step.action is not None and step.action.type != "Process"
        else step
        for step in steps
    ]
    return world.flow(*placed, **settings)


def statuses(trial: Trial) -> dict[str, str]:
    """How each step ended."""
    return {step.step_id: step.status.value for step in trial.steps}


def step_of(trial: Trial, id_: str) -> StepTrial:
    """What became of one step."""
    return next(step for step in trial.steps if step.step_id == id_)


def test_only_the_first_page_is_read_and_a_long_one_is_cut(world: World) -> None:
    """A test takes as many records as a page may have at most."""
    many = [{"n": number} for number in range(limits.PAGE_RECORDS + 1)]
    world.connectors.pages = [many, [{"n": -1}]]
    read, kept = tried(
        world, export_step(), filter_step("keep", "n > 1", depends_on=("read",))
    ).steps
    assert (read.counts.records_out, read.has_more) == (limits.PAGE_RECORDS, True)
    assert (kept.counts.records_ignored, kept.input.count) == (2, limits.PAGE_RECORDS)
    assert kept.input.data == tuple(many[: limits.TEST_ITEMS_SHOWN])
    assert kept.output.data[0] == {"n": 2}
    assert kept.output.truncated
    world.connectors.pages = [[{"n": 1}]]
    assert not tried(world, export_step()).steps[0].has_more


def test_the_time_left_is_how_long_a_reader_may_wait(world: World) -> None:
    """A slow first step leaves less to the second."""
    world.clock = RunningClock(step=timedelta(seconds=1))
    world.connectors.pages = [[{"n": 1}]]
    tried(world, export_step("a"), export_step("b", depends_on=("a",)))
    first, second = world.connectors.seconds_given
    assert limits.TEST_SECONDS > first > second > 0


def test_what_the_time_does_not_suffice_for_is_told(world: World) -> None:
    """A step is interrupted between two records, those after it are not reached."""
    world.clock = RunningClock(step=timedelta(seconds=1))
    payload = [{"n": number} for number in range(100)]
    trial = tried(
        world,
        process_step("a"),
        process_step("b", depends_on=("a",)),
        process_step("c", depends_on=("b",), is_skipped=True),
        payload=payload,
    )
    assert statuses(trial) == {"a": "interrupted", "b": "notReached", "c": "skipped"}
    assert trial.status.value == "incomplete"
    assert [step.error and step.error.code for step in trial.steps] == ["timeOver"] * 2 + [None]
    assert limits.TEST_SECONDS * 1_000 <= trial.duration_ms < 29_000


@dataclass
class SlowFunctions(ScriptedFunctions):
    """Functions that take longer than any test."""

    clock: FakeClock = field(default_factory=FakeClock)

    def invoke(self, arn: str, payload: bytes, seconds: float = limits.FUNCTION_SECONDS) -> bytes:
        """Give up after that time."""
        self.seconds_given.append(seconds)
        self.clock.forward(seconds=seconds)
        raise StepTransient("functionUnreachable", f"{arn} gave no answer to {payload!r}")


def test_a_function_is_given_what_is_left_of_the_time(world: World) -> None:
    """One that takes longer interrupts its step; the test has a result all the same."""
    world.functions = SlowFunctions(clock=world.clock)
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:millrace-fn-slow"
    operation = FunctionOperation(type="function", arn=arn, batch_size=1)
    calling = process_step(
        "call", action=ProcessAction(type="Process", operations=(operation, operation))
    )
    trial = tried(world, calling, payload=[{"n": 1}, {"n": 2}])
    assert world.functions.seconds_given == [limits.TEST_SECONDS]
    assert statuses(trial) == {"call": "interrupted"}
    (step,) = trial.steps
    assert step.error is not None
    assert (step.error.code, trial.status.value) == ("timeOver", "incomplete")


@pytest.mark.parametrize(
    ("changes", "reached", "whole"),
    [
        ({}, "notReached", "failed"),
        ({"exception_behavior": CONTINUE}, "succeeded", "partiallySucceeded"),
    ],
    ids=["stop", "continue"],
)
def test_a_failed_step_does_what_its_strategy_says(
    world: World, changes: dict[str, Any], reached: str, whole: str
) -> None:
    """Trouble that may pass counts as failure, because nobody waits for it."""
    for error in (StepFailed("x", "no"), StepTransient("x", "not now")):
        world.connectors.read_trouble = {0: [error]}
        world.connectors.pages = [[{"n": 1}]]
        trial = tried(
            world,
            export_step(**changes),
            process_step("then", depends_on=("read",)),
            process_step("beside"),
            payload={"n": 2},
        )
        assert statuses(trial) == {"read": "failed", "then": reached, "beside": "succeeded"}
        assert trial.status.value == whole
        told = step_of(trial, "read").error
        assert told is not None
        assert (told.message, told.transient) == (error.message, isinstance(error, StepTransient))
        assert step_of(trial, "then").output.count == 0


def test_a_partial_success_stops_if_it_is_told_to(world: World) -> None:
    """By default what is left goes on."""
    bad = process_step("a", "$number(n) > 0 ? $ : 1", exception_behavior=STOP)
    steps = (bad, process_step("b", depends_on=("a",)))
    trial = tried(world, *steps, payload=[{"n": 1}, {"n": "?"}])
    assert statuses(trial) == {"a": "partiallySucceeded", "b": "notReached"}
    assert trial.status.value == "failed"
    assert [each.record for each in trial.steps[0].errors.data] == [{"n": "?"}]
    goes_on = (bad.model_copy(update={"exception_behavior": ()}), steps[1])
    trial = tried(world, *goes_on, payload=[{"n": 1}, {"n": "?"}])
    assert statuses(trial) == {"a": "partiallySucceeded", "b": "succeeded"}
    assert trial.status.value == "partiallySucceeded"


def test_the_draft_is_tested_before_what_is_deployed(world: World) -> None:
    """A version may be named; what is deployed stays, and no run is known of."""
    deployed = world.deployed(process_step(expression="{'v': 1}"))
    world.change(deployed, process_step(expression="{'v': 2}"))
    before = get_flow(world.context, ALICE, deployed.id)
    version_id = before.deployed_version_id

    def output(version_id: str | None = None) -> Any:  # noqa: ANN401 - JSON
        asked = TrialRequest(payload={}, version_id=version_id)
        return try_flow(world.context, ALICE, deployed.id, asked).steps[0].output.data

    assert output() == ({"v": 2},)
    assert output(version_id) == ({"v": 1},)
    assert get_flow(world.context, ALICE, deployed.id) == before
    assert world.runs.page(ALICE.workspace_id, deployed.id).items == ()
    assert world.machines.started == {}
    assert world.blobs.objects == {}


def test_steps_that_are_left_out_are_as_if_skipped(world: World) -> None:
    """What came to them goes past them."""
    steps = [process_step(name, f"$merge([$, {{'{name}': 1}}])") for name in "abc"]
    steps[1] = steps[1].model_copy(update={"depends_on": ("a",)})
    steps[2] = steps[2].model_copy(update={"depends_on": ("b",)})
    trial = tried(world, *steps, payload={}, steps_to_run=("a", "c"))
    assert statuses(trial) == {"a": "succeeded", "b": "skipped", "c": "succeeded"}
    assert step_of(trial, "c").output.data == ({"a": 1, "c": 1},)


def test_one_step_of_a_group_leaves_to_the_others_what_is_theirs(world: World) -> None:
    """Also with given records; and a step that is skipped can be tried by itself."""
    group: dict[str, Any] = {"exclusive_group": "size", "depends_on": ("all",)}
    made = flow(
        world,
        process_step("all"),
        process_step("large", filter="n > 10", **group),
        process_step("rest", is_skipped=True, **group),
    )
    records = ({"n": 5}, {"n": 50})
    asked = StepTrialRequest(records=records)
    (alone,) = try_step(world.context, ALICE, made.id, "rest", asked).steps
    assert (alone.input.data, alone.output.data) == (records, ({"n": 5},))
    asked = StepTrialRequest(payload=[*records])
    trial = try_step(world.context, ALICE, made.id, "rest", asked)
    assert statuses(trial) == {"all": "succeeded", "rest": "succeeded"}
    assert step_of(trial, "rest").output.data == ({"n": 5},)


def test_a_filter_that_fails_shows_the_record(world: World) -> None:
    """With the others that go past it."""
    step = import_step(filter="$number(n) > 1", on_not_matching="pass", batch_size=10)
    (told,) = tried(world, step, payload=[{"n": 1}, {"n": "?"}, {"n": 2}, {"n": 3}]).steps
    assert [(each.code, each.record) for each in told.errors.data] == [
        ("expressionFailed", {"n": "?"})
    ]
    assert told.output.data == ({"n": 1}, {"n": 2}, {"n": 3})
    (request,) = told.requests.data
    assert json.loads(request.body) == [{"n": 2}, {"n": 3}]
    assert (request.url, request.body_bytes) == ("https://shop.example/orders", 17)


def test_record_errors_are_neither_noted_nor_resolved(world: World) -> None:
    """What fails in a test is in its result; a success does not count for the errors of runs."""
    step = process_step(expression="$number(n) > 0 ? $ : 1", trace_key="id")
    made = world.deployed(step)
    world.step(world.start(made, {"id": 1, "n": "?"}), "map")
    (noted,) = world.failed_records.page(ALICE.workspace_id, made.id).items
    asked = TrialRequest(payload=[{"id": 1, "n": 1}, {"id": 2, "n": "?"}])
    trial = try_flow(world.context, ALICE, made.id, asked)
    assert trial.steps[0].counts.records_failed == 1
    assert world.failed_records.page(ALICE.workspace_id, made.id).items == (noted,)
    world.step(world.start(made, {"id": 1, "n": 1}), "map")
    assert world.failed_records.page(ALICE.workspace_id, made.id).items == ()


def test_other_flows_are_not_run(world: World) -> None:
    """A step of type Flow says so, and can be continued after."""
    other = world.flow(process_step())
    call = Step(id="call", type="Flow", flow_id=other.id, exception_behavior=CONTINUE)
    trial = tried(world, call, process_step("b", depends_on=("call",)))
    assert statuses(trial) == {"call": "failed", "b": "succeeded"}
    error = step_of(trial, "call").error
    assert error is not None
    assert error.code == "flowStep"


def test_any_record_can_be_shown_and_kept(world: World) -> None:
    """Half characters, huge numbers and deep nesting neither break the answer nor the store."""
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"d": deep}
    payload = [{"text": "\ud800!", "big": 10**30, "none": None}, deep | {"n": "?"}]
    made = flow(world, import_step(filter="$exists(n) ? $number(n) > 0 : true"))
    trial = try_flow(world.context, ALICE, made.id, TrialRequest(payload=payload))
    (step,) = trial.steps
    assert step.input.data[0] == {"text": "?!", "big": 10**30, "none": None}
    unclear, unsendable = step.errors.data
    assert (unclear.code, unsendable.code) == ("expressionFailed", "textNotUnicode")
    assert "too deeply" in json.dumps(step.input.data[1])
    assert "too deeply" in json.dumps(unclear.record)
    assert unsendable.record == step.input.data[0]
    assert get_trial(world.context, ALICE, made.id, trial.id) == trial


def test_a_result_is_bounded_however_much_there_is(world: World) -> None:
    """200 steps fit one stored item, and say what they leave out, also of what packs badly."""
    names = [f"s{number:03d}" for number in range(limits.STEPS_PER_VERSION)]
    steps = [
        process_step(name, depends_on=() if place == 0 else (names[place - 1],))
        for place, name in enumerate(names)
    ]
    random = Random(1)
    noise = [{"text": b64encode(random.randbytes(99)).decode()} for _ in range(30)]
    trial = tried(world, *steps, payload=[*noise, {"text": "x" * 400_000}])
    assert all(step.output.count == 31 and step.output.truncated for step in trial.steps)
    assert all(step.output.data for step in trial.steps)
    one = flow(world, *[step.model_copy(update={"depends_on": ()}) for step in steps[:1]])
    asked = TrialRequest(payload=[{"text": b64encode(random.randbytes(9_999)).decode()}] * 30)
    (step,) = try_flow(world.context, ALICE, one.id, asked).steps
    assert len(step.output.data) == limits.TEST_RESULT_BYTES // 4 // 13_400


def test_results_are_listed_for_their_flow_alone(world: World) -> None:
    """Until they expire."""
    made, other = flow(world, process_step()), flow(world, process_step())
    trial = try_flow(world.context, ALICE, made.id, TrialRequest())
    assert list_trials(world.context, ALICE, made.id, 10, None).items == (trial,)
    assert list_trials(world.context, ALICE, other.id, 10, None).items == ()
    with pytest.raises(NotFoundError):
        get_trial(world.context, ALICE, other.id, trial.id)
    assert trial.forgotten_at == world.clock() + timedelta(days=limits.TEST_RESULT_DAYS)


def test_secrets_are_masked_before_anything_is_cut(world: World) -> None:
    """No part of one is left at the end of a long body; the longest goes first."""
    display = Display({"t0ken", "t0ken-long", ""}, 1_000)
    assert display.text("a t0ken-long and a t0ken") == "a *** and a ***"
    numbers = {"n": [1234, 1.5, True, float("inf")], "t0ken": None}
    shown = Display({"1234", "t0ken"}, 1_000).shown(ShownRecords, [numbers], 1)
    assert shown.data == ({"n": ["***", 1.5, True, "inf"], "***": None},)
    auth = BearerAuth(type="bearer", token=SecretStr("canary-secret"))
    given = ConnectionInput(name="Shop", base_url="https://shop.example", auth=auth)
    shop = CONNECTIONS.create(world.context, ALICE, given)
    filler = "x" * (limits.TEST_BODY_LENGTH - len('{"text":"') - 3)
    world.connectors.pages = [[{"text": f"{filler}canary-secret"}]]
    made = world.flow(
        export_step("read", shop.id), import_step("write", shop.id, depends_on=("read",))
    )
    trial = try_flow(world.context, ALICE, made.id, TrialRequest())
    (request,) = step_of(trial, "write").requests.data
    assert request.body == f'{{"text":"{filler}***'
    assert "canary" not in trial.model_dump_json()

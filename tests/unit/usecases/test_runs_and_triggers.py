"""Runs started by hand and by schedules, and what can be seen of them."""

from datetime import timedelta

import pytest
from tests.support.samples import ALICE, MALLORY, process_step
from tests.support.time_and_ids import NOON
from tests.support.world import World

from millrace import limits
from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.flow import Flow
from millrace.domain.run import Run, Trigger
from millrace.usecases.flows import get_version, latest_version
from millrace.usecases.payloads import load_payload
from millrace.usecases.run_flow import RunRequest, run_flow
from millrace.usecases.runs import (
    get_run,
    list_runs,
    start_run,
    step_output,
)
from millrace.usecases.triggers import ScheduleEvent, on_schedule

MAP = process_step("map")


def test_a_run_by_hand_names_its_caller(world: World) -> None:
    """Who started it is part of the record; the payload is kept as it was."""
    flow = world.deployed(MAP)
    run = run_flow(world.context, ALICE, flow.id, RunRequest(payload={"a": [1, None, "é"]}))
    assert run.trigger == Trigger(source="manual", triggered_by=ALICE.token_id)
    assert load_payload(world.context, run) == {"a": [1, None, "é"]}
    assert get_run(world.context, ALICE, run.id).run == run


def test_a_run_stays_on_its_version(world: World) -> None:
    """What is deployed later does not change runs that have begun."""
    flow = world.deployed(MAP)
    run = world.start(flow)
    world.change(flow, MAP, process_step("more", depends_on=("map",)))
    world.deploy(flow)
    assert world.start(flow_now(world, flow)).version_number == 2
    assert world.now(run).version_number == 1
    assert run.machine_arn == f"{flow.id}-v1"


def flow_now(world: World, flow: Flow) -> Flow:
    """The flow as it is stored now."""
    return world.resources.get(Flow, flow.workspace_id, flow.id)


def test_a_large_payload_goes_to_the_bucket(world: World) -> None:
    """What does not fit into the run's item is kept beside it."""
    flow = world.deployed(MAP)
    payload = {"text": "x" * limits.INLINE_PAYLOAD_BYTES}
    run = world.start(flow, payload)
    assert list(world.blobs.objects) == [run.payload.key]
    assert run.payload.inline is None
    assert load_payload(world.context, run) == payload


def test_only_deployed_versions_run(world: World) -> None:
    """A draft has no machine."""
    flow = world.flow(MAP)
    with pytest.raises(ConflictError, match="no deployed version"):
        run_flow(world.context, ALICE, flow.id, RunRequest())
    draft = get_version(world.context, ALICE, flow.id, latest_version(world.context, flow).id)
    with pytest.raises(ConflictError, match="never deployed"):
        start_run(world.context, flow, Trigger(source="manual"), None, version=draft)


def test_runs_are_their_owners(world: World) -> None:
    """Another workspace's runs look like none."""
    flow = world.deployed(MAP)
    run = world.start(flow, {"a": 1})
    world.step(run, "map")
    context = world.context
    for act in (
        lambda: run_flow(context, MALLORY, flow.id, RunRequest()),
        lambda: get_run(context, MALLORY, run.id),
        lambda: list_runs(context, MALLORY, flow.id, 10, None),
        lambda: step_output(context, MALLORY, run.id, "map", 10),
    ):
        with pytest.raises(NotFoundError):
            act()


def test_a_steps_output_can_be_looked_at(world: World) -> None:
    """The first records, and whether there are more."""
    run = world.start(world.deployed(MAP), [{"n": 1}, {"n": 2}])
    world.step(run, "map")
    assert step_output(world.context, ALICE, run.id, "map", 2) == ([{"n": 1}, {"n": 2}], False)
    assert step_output(world.context, ALICE, run.id, "map", 1) == ([{"n": 1}], True)


@pytest.mark.parametrize(
    ("step", "hint"), [("map", "it has not begun"), ("nowhere", "no such step")]
)
def test_an_output_that_is_not_there_says_why(world: World, step: str, hint: str) -> None:
    """Not yet is not the same as never."""
    run = world.start(world.deployed(MAP))
    with pytest.raises(NotFoundError, match=hint):
        step_output(world.context, ALICE, run.id, step, 10)


def fire(world: World, flow: Flow, after: timedelta = timedelta()) -> Run | None:
    """Have the flow's schedule fire for a planned time."""
    event = ScheduleEvent(
        workspace_id=flow.workspace_id, flow_id=flow.id, scheduled_for=NOON + after
    )
    return on_schedule(world.context, event)


def test_each_planned_time_is_one_run(world: World) -> None:
    """The scheduler delivers at least once; flow and planned time name the run."""
    flow = world.deployed(MAP, schedule="rate(1 hour)")
    first = fire(world, flow)
    assert first is not None
    world.clock.forward(seconds=30)
    assert fire(world, flow) == first
    second = fire(world, flow, timedelta(hours=1))
    assert second is not None
    assert second.id != first.id
    assert first.trigger == Trigger(source="schedule", scheduled_for=NOON)
    assert load_payload(world.context, first) == {"scheduledFor": "2026-01-31T12:00:00.000Z"}


@pytest.mark.parametrize(
    "settings",
    [{"schedule": "rate(1 hour)", "enabled": False}, {"schedule": None}],
    ids=["disabled", "without schedule"],
)
def test_a_schedule_that_fires_too_long_starts_nothing(
    world: World, settings: dict[str, object]
) -> None:
    """The flow has the last word, not a schedule that is about to be deleted."""
    flow = world.deployed(MAP, schedule="rate(1 hour)")
    world.change(flow, MAP, **settings)
    assert fire(world, flow) is None
    assert list_runs(world.context, ALICE, flow.id, 10, None).items == ()


def test_a_schedule_of_no_flow_or_no_version_starts_nothing(world: World) -> None:
    """Neither deleted nor undeployed flows run."""
    draft = world.flow(MAP, schedule="rate(1 hour)")
    assert fire(world, draft) is None
    assert fire(world, draft.model_copy(update={"id": "flow_9"})) is None

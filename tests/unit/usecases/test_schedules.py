"""Schedules of flows and of their sources, in step with what the flows say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.samples import ALICE, MALLORY, export_step, process_step
from tests.support.time_and_ids import NOON
from tests.support.world import World

from millrace.domain.errors import NotFoundError, UnavailableError
from millrace.domain.flow import Flow, FlowInput
from millrace.domain.ports import Schedule
from millrace.domain.run import Run
from millrace.domain.step import Step
from millrace.storage.memory import MemorySchedules
from millrace.usecases.deploy import deploy_version, undeploy_version
from millrace.usecases.flow_changes import delete_flow
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.next_occurrences import next_occurrences
from millrace.usecases.runs import list_runs
from millrace.usecases.schedules import schedule_name
from millrace.usecases.sweeper import sweep
from millrace.usecases.trigger_sync import resync_triggers, sync_triggers
from millrace.usecases.triggers import ScheduleEvent, on_schedule
from millrace.usecases.versions import roll_back

MAP = process_step("map")
HOUR = timedelta(hours=1)
HOURLY = "0 * * * *"


def two_sources(world: World, **own: Any) -> list[Step]:  # noqa: ANN401 - fields of a step
    """Orders and prices, each with a step of its own, joined and written."""
    shop = world.connection()
    return [
        export_step("orders", shop.id, **own),
        export_step("prices", shop.id),
        process_step("dated", depends_on=("orders",)),
        process_step("rounded", depends_on=("prices",)),
        process_step("joined", depends_on=("dated", "rounded")),
    ]


def fire(
    world: World, flow: Flow, step_id: str | None = None, planned: datetime = NOON
) -> Run | None:
    """Have a schedule of the flow fire for a planned time."""
    event = ScheduleEvent(
        workspace_id=flow.workspace_id, flow_id=flow.id, step_id=step_id, scheduled_for=planned
    )
    return on_schedule(world.context, event)


def expressions(world: World) -> dict[str | None, str]:
    """What is in the scheduler, by the step whose schedule it is."""
    return {
        schedule.data.get("stepId"): schedule.expression
        for schedule in world.schedules.schedules.values()
    }


def test_a_source_has_a_schedule_of_its_own(world: World) -> None:
    """It is set beside the flow's with the deploy, and a repeated deploy leaves two."""
    steps = two_sources(world, schedule="rate(5 minutes)")
    flow = world.deployed(*steps, schedule=HOURLY)
    world.deploy(flow)
    assert expressions(world) == {None: "cron(0 * * * ? *)", "orders": "rate(5 minutes)"}
    (name,) = world.schedules.schedules.keys() - {flow.id}
    assert name == schedule_name(flow.id, "orders")
    assert world.schedules.schedules[name].data == {
        "workspaceId": flow.workspace_id,
        "flowId": flow.id,
        "stepId": "orders",
    }


def test_the_name_of_a_schedule_fits_whatever_the_step_is_called() -> None:
    """EventBridge Scheduler takes 64 characters; two steps have two names."""
    flow_id = "flow_" + "0" * 26
    names = {schedule_name(flow_id, id_) for id_ in (None, "a", "b", "x" * 80)}
    assert len(names) == 4
    assert max(map(len, names)) <= 64


def test_each_schedule_runs_what_it_is_for(world: World) -> None:
    """A source with its own is left out of the flow's runs, with what hangs on it alone."""
    flow = world.deployed(*two_sources(world, schedule="rate(5 minutes)"), schedule=HOURLY)
    by_step, by_flow = fire(world, flow, "orders"), fire(world, flow)
    assert by_step is not None
    assert by_flow is not None
    assert by_step.id != by_flow.id
    assert by_step.steps_to_run == ("orders", "dated", "joined")
    assert by_step.trigger.step_id == "orders"
    assert by_flow.steps_to_run == ("prices", "rounded", "joined")
    assert fire(world, flow, "prices") is None


def test_the_flows_schedule_is_left_with_nothing_if_each_source_has_its_own(world: World) -> None:
    """It would start runs without any source."""
    shop = world.connection()
    flow = world.deployed(export_step("a", shop.id, schedule="rate(1 hour)"), schedule=HOURLY)
    assert expressions(world) == {"a": "rate(1 hour)"}
    assert fire(world, flow) is None


def test_schedules_of_sources_follow_the_deployed_version(world: World) -> None:
    """Deploying, rolling back, undeploying and deleting leave none that nobody wants."""
    steps = two_sources(world, schedule="rate(5 minutes)")
    flow = world.deployed(*steps)
    old = get_version(world.context, ALICE, flow.id, flow.latest_version_id)
    world.change(flow, *(step.model_copy(update={"schedule": None}) for step in steps))
    assert expressions(world) == {"orders": "rate(5 minutes)"}
    world.deploy(flow)
    assert expressions(world) == {}
    rolled = roll_back(world.context, ALICE, flow.id, old.id)
    assert expressions(world) == {"orders": "rate(5 minutes)"}
    resync_triggers(world.context, world.change(flow, *steps, enabled=False))
    assert expressions(world) == {}
    resync_triggers(world.context, world.change(flow, *steps))
    assert expressions(world) == {"orders": "rate(5 minutes)"}
    undeploy_version(world.context, ALICE, flow.id, rolled.id, rolled.revision)
    assert expressions(world) == {}
    world.schedules.put(Schedule(schedule_name(flow.id, "left"), "rate(1 hour)", "UTC", {}))
    delete_flow(world.context, ALICE, flow.id, get_flow(world.context, ALICE, flow.id).revision)
    assert expressions(world) == {}


def test_the_schedules_of_another_flow_are_left_alone(world: World) -> None:
    """Also if its id begins with this one's."""
    flow = world.deployed(MAP, schedule=HOURLY)
    other = Schedule(f"{flow.id}0", "rate(1 hour)", "UTC", {})
    world.schedules.put(other)
    world.change(flow, MAP)
    sync_triggers(world.context, get_flow(world.context, ALICE, flow.id))
    assert world.schedules.schedules == {other.name: other}


@pytest.mark.parametrize(
    ("schedule", "start", "end", "expected"),
    [
        # expected: StartDate and EndDate in hours from now; None: no schedule at all
        (HOURLY, None, None, (None, None)),
        (HOURLY, -2, 2, (None, 2)),
        (HOURLY, 2, None, (2 - 1 / 60, None)),
        (HOURLY, -3, -1, None),
        (HOURLY, -3, 0, None),
        ("rate(5 hours)", None, None, (0, None)),
        ("rate(5 hours)", -2, None, (3, None)),
        ("rate(5 hours)", 2, None, (2, None)),
        ("rate(5 hours)", -2, 3, None),
        ("at(2026-01-31T14:00:00)", -2, 5, (None, None)),
        ("at(2026-01-31T14:00:00)", -2, 2, None),
        ("at(2026-01-31T11:00:00)", None, None, None),
    ],
)
def test_the_scheduler_gets_the_dates_that_it_takes(
    world: World,
    schedule: str,
    start: float | None,
    end: float | None,
    expected: tuple[float | None, float | None] | None,
) -> None:
    """No date that is past, a start that is in it itself, and no schedule that is over."""

    def moment(hours: float | None) -> datetime | None:
        return None if hours is None else NOON + HOUR * hours

    world.deployed(
        MAP, schedule=schedule, schedule_start_date=moment(start), schedule_end_date=moment(end)
    )
    found = [(each.start, each.end) for each in world.schedules.schedules.values()]
    assert found == ([] if expected is None else [(moment(expected[0]), moment(expected[1]))])


def test_a_change_does_not_shift_a_rate(world: World) -> None:
    """It counts from the deploy, to the minute, whatever is set anew meanwhile."""
    world.clock.forward(seconds=20)
    flow = world.deployed(MAP, schedule="rate(7 minutes)")
    first = NOON + timedelta(minutes=1)
    assert world.schedules.schedules[flow.id].start == first
    world.clock.forward(minutes=10)
    resync_triggers(
        world.context, world.change(flow, MAP, name="other", schedule="rate(7 minutes)")
    )
    assert world.schedules.schedules[flow.id].start == first + timedelta(minutes=14)


def test_what_is_about_to_fire_is_not_taken_away(world: World) -> None:
    """A change in the minute of an occurrence neither loses it nor asks for a time that is past."""
    once: dict[str, Any] = {"schedule": "at(2026-01-31T12:01:00)"}
    flow = world.deployed(MAP, **once)
    planned = dict(world.schedules.schedules)
    world.clock.forward(seconds=90)
    resync_triggers(world.context, world.change(flow, MAP, name="other", **once))
    assert world.schedules.schedules == planned
    world.clock.forward(seconds=60)
    resync_triggers(world.context, world.change(flow, MAP, name="third", **once))
    assert world.schedules.schedules == {}


def test_an_occurrence_outside_of_its_dates_starts_nothing(world: World) -> None:
    """Whatever the scheduler makes of them; the start is in it, the end is not."""
    flow = world.deployed(
        MAP, schedule=HOURLY, schedule_start_date=NOON, schedule_end_date=NOON + HOUR
    )
    assert fire(world, flow, planned=NOON - HOUR) is None
    assert fire(world, flow, planned=NOON + HOUR) is None
    assert fire(world, flow, planned=NOON) is not None


def test_an_occurrence_runs_once_however_often_and_late_it_comes(world: World) -> None:
    """A day late it still runs, under its planned time; a second delivery gives the same run."""
    flow = world.deployed(*two_sources(world, schedule="rate(5 minutes)"), schedule=HOURLY)
    world.clock.forward(hours=23)
    late = fire(world, flow, "orders", NOON)
    assert late is not None
    assert late.trigger.scheduled_for == NOON
    world.clock.forward(days=2)
    assert fire(world, flow, "orders", NOON) == late
    assert len(list_runs(world.context, ALICE, flow.id, 10, None).items) == 1


def test_the_schedule_of_a_flow_that_is_gone_is_removed_when_it_fires(world: World) -> None:
    """It starts nothing; that of a flow that is only disabled may be wanted again."""
    flow = world.deployed(MAP, schedule=HOURLY)
    kept = dict(world.schedules.schedules)
    world.change(flow, MAP, schedule=HOURLY, enabled=False)
    assert fire(world, flow) is None
    assert world.schedules.schedules == kept
    gone = flow.model_copy(update={"id": "flow_9"})
    world.schedules.put(Schedule(schedule_name("flow_9", "a"), "rate(1 hour)", "UTC", {}))
    assert fire(world, gone, "a") is None
    assert world.schedules.schedules == kept


class UnreliableSchedules(MemorySchedules):
    """A scheduler that may be out of reach."""

    is_there = True

    def put(self, schedule: Schedule) -> None:
        """Take it, if it is there."""
        if not self.is_there:
            raise UnavailableError("nobody answers")
        super().put(schedule)


def test_what_the_scheduler_did_not_take_is_told_and_made_up_for() -> None:
    """The flow is stored as it was to be; deploying again, or any change, sets its schedules."""
    schedules = UnreliableSchedules()
    world = World(schedules=schedules)
    flow = world.flow(MAP, schedule=HOURLY)
    schedules.is_there = False
    with pytest.raises(UnavailableError, match=r"stored.*deploy its version once more"):
        world.deploy(flow)
    flow = get_flow(world.context, ALICE, flow.id)
    version_id = flow.deployed_version_id
    assert version_id is not None
    assert schedules.schedules == {}
    schedules.is_there = True
    version = get_version(world.context, ALICE, flow.id, version_id)
    deploy_version(world.context, ALICE, flow.id, version_id, version.revision)
    assert list(schedules.schedules) == [flow.id]


class SlowSchedules(MemorySchedules):
    """While the first schedule is on its way, something else happens."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Any] = []

    def put(self, schedule: Schedule) -> None:
        """Take it after what happens meanwhile."""
        if self.meanwhile:
            self.meanwhile.pop()()
        super().put(schedule)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"schedule": "rate(2 hours)"}, ["rate(2 hours)"]),
        ({"schedule": HOURLY, "enabled": False}, []),
    ],
)
def test_of_two_changes_at_once_the_later_one_has_the_last_word(
    settings: dict[str, Any], expected: list[str]
) -> None:
    """However their calls of the scheduler follow each other."""
    schedules = SlowSchedules()
    world = World(schedules=schedules)
    flow = world.deployed(MAP)
    changed = world.change(flow, MAP, schedule=HOURLY)
    schedules.meanwhile = [
        lambda: resync_triggers(world.context, world.change(flow, MAP, **settings)),
    ]
    resync_triggers(world.context, changed)
    assert [each.expression for each in schedules.schedules.values()] == expected


def test_the_next_occurrences_are_told(world: World) -> None:
    """Of all the flow's schedules together, in UTC and on the zone's clocks."""
    steps = two_sources(world, schedule="at(2026-01-31T14:30:00)")
    flow = world.deployed(*steps, schedule=HOURLY, timezone="Europe/Paris")
    told = next_occurrences(world.context, ALICE, flow.id, 3)
    assert (told.fires, told.obstacles, told.timezone) == (True, (), "Europe/Paris")
    assert [(each.scheduled_for, each.local_time, each.step_id) for each in told.data] == [
        (NOON, "2026-01-31T13:00:00+01:00", None),
        (NOON + HOUR, "2026-01-31T14:00:00+01:00", None),
        (NOON + HOUR * 1.5, "2026-01-31T14:30:00+01:00", "orders"),
    ]
    with pytest.raises(NotFoundError):
        next_occurrences(world.context, MALLORY, flow.id, 3)


def test_a_time_that_clocks_leave_out_is_told(world: World) -> None:
    """So nobody waits on the morning of that day in vain."""
    world.clock.now = datetime(2026, 3, 28, 12, tzinfo=UTC)
    flow = world.deployed(MAP, schedule="30 2 * * *", timezone="Europe/Paris")
    told = next_occurrences(world.context, ALICE, flow.id, 1)
    assert [each.local_time for each in told.data] == ["2026-03-30T02:30:00+02:00"]
    assert [each.local_time for each in told.skipped] == ["2026-03-29T02:30:00"]


@pytest.mark.parametrize(
    ("settings", "obstacles", "number"),
    [
        ({"schedule": HOURLY}, ("notDeployed",), 5),
        ({"schedule": HOURLY, "enabled": False}, ("notDeployed", "disabled"), 5),
        ({}, ("noSchedule", "notDeployed"), 0),
        ({"schedule": "rate(1 day)"}, ("notDeployed",), 5),
    ],
)
def test_what_would_be_planned_is_told_too(
    world: World, settings: dict[str, Any], obstacles: tuple[str, ...], number: int
) -> None:
    """With what stands in the way of it."""
    told = next_occurrences(world.context, ALICE, world.flow(MAP, **settings).id, 5)
    assert (told.fires, told.obstacles, len(told.data)) == (False, obstacles, number)


def test_a_schedule_that_ends_before_it_starts_is_refused() -> None:
    """Nothing would ever be planned."""
    with pytest.raises(ValueError, match="ends before it starts"):
        FlowInput(name="n", schedule_start_date=NOON, schedule_end_date=NOON)


class Dead(MemorySchedules):
    """EventBridge Scheduler as a process meets it that dies before it can call."""

    def put(self, schedule: Schedule) -> None:
        """Nothing is told any more."""
        raise KeyboardInterrupt(schedule.name)


def test_a_schedule_that_a_process_died_over_is_made_by_the_sweeper(world: World) -> None:
    """The flow was stored and nobody was told that its schedule is missing."""
    usual, world.schedules = world.schedules, Dead()
    with pytest.raises(KeyboardInterrupt):
        world.deployed(MAP, schedule=HOURLY)
    world.schedules = usual
    sweep(world.context)
    assert expressions(world) == {}
    world.clock.forward(minutes=3)
    sweep(world.context)
    assert [*expressions(world)] == [None]
    world.schedules.schedules.clear()
    sweep(world.context)
    assert expressions(world) == {}


def test_a_schedule_that_outlived_its_change_is_removed_by_the_sweeper(world: World) -> None:
    """The flow was disabled, and what follows that never came."""
    flow = world.deployed(MAP, schedule=HOURLY)
    world.change(flow, MAP, schedule=HOURLY, enabled=False)
    assert [*expressions(world)] == [None]
    world.clock.forward(minutes=3)
    sweep(world.context)
    assert expressions(world) == {}

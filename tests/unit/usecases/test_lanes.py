"""Flows that limit how many of their runs are at work: who begins, who waits, who is refused."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.samples import ALICE, process_step
from tests.support.world import World

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.errors import FlowBusyError, QueueFullError, UnavailableError
from millrace.domain.flow import Flow
from millrace.domain.lane import Lane, LaneChange, Waiting
from millrace.domain.run import LaneKey, Run, RunKey, RunStatus, Trigger
from millrace.domain.virtual_environment import Replacements, VirtualEnvironmentInput
from millrace.storage.memory import MemoryMachines, MemoryRuns
from millrace.usecases.lane_views import lanes_of
from millrace.usecases.lifecycle import cancel_run, on_execution_end
from millrace.usecases.retry_run import RetryRequest, retry_run
from millrace.usecases.run_flow import RunRequest, run_flow
from millrace.usecases.runs import get_run, start_run
from millrace.usecases.sweeper import sweep
from millrace.usecases.triggers import ScheduleEvent, on_schedule
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS

MAP = process_step("map")
MANUAL = Trigger(source="manual")
WEBHOOK = Trigger(source="webhook", webhook_id="hook_1")


def limited(world: World, limit: int = 1, on_conflict: str = "queue", **settings: Json) -> Flow:
    """A deployed flow that limits its runs."""
    rule = {"limit": limit, "onConflict": on_conflict}
    return world.deployed(MAP, concurrency=rule | settings.pop("rule", {}), **settings)


def started(world: World, run: Run) -> bool:
    """Whether the run's machine was started."""
    return world.machines.outcome(run.machine_arn, run.id) is not None


def end(world: World, run: Run) -> None:
    """The run's machine comes to its end."""
    world.step(run, "map")
    world.tell(run, "attemptSucceeded")


def statuses(world: World, *runs: Run) -> list[str]:
    """What the runs are now."""
    return [world.now(run).status.value for run in runs]


def test_a_flow_without_limit_knows_no_lane(world: World) -> None:
    """Nothing is read or written for what nobody asked for."""
    run = world.start(world.deployed(MAP))
    assert (run.place, run.status) == (None, RunStatus.RUNNING)
    assert world.runs.lanes(ALICE.workspace_id, limit=9) == ()


def test_one_run_at_a_time(world: World) -> None:
    """The others wait, and begin one after the other as slots become free."""
    flow = limited(world)
    first, second, third = (world.start(flow) for _ in range(3))
    assert statuses(world, first, second, third) == ["running", "queued", "queued"]
    assert [started(world, run) for run in (first, second, third)] == [True, False, False]
    world.clock.forward(minutes=5)
    end(world, first)
    assert statuses(world, first, second, third) == ["succeeded", "running", "queued"]
    assert started(world, second)
    begun = world.now(second)
    assert begun.started_at == world.clock.now
    assert [attempt.started_at for attempt in begun.attempts] == [world.clock.now]
    end(world, second)
    end(world, third)
    assert statuses(world, first, second, third) == ["succeeded"] * 3
    assert world.runs.lanes(ALICE.workspace_id, limit=9) == ()


def test_each_key_has_a_limit_of_its_own(world: World) -> None:
    """Keys are told by value; runs without any are counted together."""
    flow = limited(world, rule={"keyExpression": "customer"})
    payloads: list[Json] = [{"customer": "a"}, {"customer": "b"}, {"customer": "a"}, {}, None]
    runs = [world.start(flow, payload) for payload in payloads]
    assert statuses(world, *runs) == ["running", "running", "queued", "running", "queued"]
    assert [run.place and run.place.key for run in runs] == ["a", "b", "a", None, None]
    end(world, runs[1])
    assert statuses(world, runs[2]) == ["queued"]
    end(world, runs[0])
    assert statuses(world, runs[2]) == ["running"]


def test_priority_goes_first_also_that_of_an_environment(world: World) -> None:
    """1 before 3, whoever came first; a virtual environment replaces the flow's."""
    given = VirtualEnvironmentInput(name="Acme", replacements=Replacements(priority=1))
    environment = VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, given)
    flow = limited(world, priority=3)
    first, usual = world.start(flow), world.start(flow)
    asked = RunRequest(virtual_environment_id=environment.id)
    urgent = run_flow(world.context, ALICE, flow.id, asked)
    end(world, first)
    assert statuses(world, usual, urgent) == ["queued", "running"]


def test_reject_refuses_by_name_and_leaves_nothing(world: World) -> None:
    """The caller is told, no run is there, and the same delivery may be sent again."""
    flow = limited(world, on_conflict="reject")
    first = world.start(flow)
    with pytest.raises(FlowBusyError, match=r"at work.*onConflict is reject"):
        start_run(world.context, flow, WEBHOOK, None, dedupe_key="same")
    assert [run.id for run in world.runs.page(ALICE.workspace_id).items] == [first.id]
    end(world, first)
    again, is_new = start_run(world.context, flow, WEBHOOK, None, dedupe_key="same")
    assert (again.status, is_new) == (RunStatus.RUNNING, True)


def test_a_delivery_that_was_accepted_is_not_refused_when_it_comes_again(world: World) -> None:
    """Its own run is the one at work."""
    for rule in ("reject", "cancelPrevious", "skip"):
        flow = limited(world, on_conflict=rule)
        first, _ = start_run(world.context, flow, WEBHOOK, None, dedupe_key=rule)
        assert start_run(world.context, flow, WEBHOOK, None, dedupe_key=rule) == (first, False)
        assert statuses(world, first) == ["running"]


def test_skip_records_a_run_that_never_begins(world: World) -> None:
    """It says why, holds no slot, and a repeated delivery gives it again."""
    flow = limited(world, on_conflict="skip")
    first = world.start(flow)
    skipped, is_new = start_run(world.context, flow, WEBHOOK, None, dedupe_key="same")
    assert (is_new, skipped.is_skipped, skipped.status) == (True, True, RunStatus.CANCELLED)
    assert world.now(skipped).error == skipped.error
    assert not started(world, skipped)
    assert start_run(world.context, flow, WEBHOOK, None, dedupe_key="same") == (skipped, False)
    latest = world.flow_of(first).latest_run
    assert latest is not None
    assert latest.run_id == first.id
    end(world, first)
    assert statuses(world, world.start(flow)) == ["running"]


def test_cancel_previous_cancels_the_oldest(world: World) -> None:
    """It says which run took its place; no step of it begins any more."""
    flow = limited(world, limit=2, on_conflict="cancelPrevious")
    first, second, third = (world.start(flow) for _ in range(3))
    assert statuses(world, first, second, third) == ["cancelled", "running", "running"]
    error = world.now(first).error
    assert error is not None
    assert third.id in error.message
    assert world.machines.outcome(first.machine_arn, first.id) == "ABORTED"


def test_a_full_line_refuses(world: World) -> None:
    """A caller is told; a scheduled occurrence leaves a run that says why."""
    flow = limited(world, schedule="0 * * * *", trigger={"kind": "schedule"})
    key = LaneKey(ALICE.workspace_id, flow.id, "runs")
    line = {f"run_{n}": Waiting(priority=3, until=9**12) for n in range(limits.QUEUE_DEPTH)}
    full = Lane(revision=1, slots={"run_a": 9**12}, waiting=line)
    world.runs.swap_lane(LaneChange(key, None, full))
    with pytest.raises(QueueFullError, match="1,000 runs of the flow wait already"):
        world.start(flow)
    run = fire(world, flow)
    assert run.error is not None
    assert (run.status, run.error.code) == (RunStatus.CANCELLED, "queueFull")


def fire(world: World, flow: Flow, **later: float) -> Run:
    """The run of an occurrence of a flow's schedule."""
    planned = world.clock.now + timedelta(**later)
    event = ScheduleEvent(workspace_id=ALICE.workspace_id, flow_id=flow.id, scheduled_for=planned)
    run = on_schedule(world.context, event)
    assert run is not None
    return run


def test_scheduled_occurrences_queue_behind_each_other(world: World) -> None:
    """Also if the flow sets no limit, which holds for no other runs then."""
    flow = world.deployed(MAP, schedule="0 * * * *")
    first, second = fire(world, flow), fire(world, flow, hours=1)
    assert statuses(world, first, second) == ["running", "queued"]
    assert statuses(world, world.start(flow)) == ["running"]
    end(world, first)
    assert statuses(world, second) == ["running"]


def test_a_retry_by_hand_does_not_wait(world: World) -> None:
    """It takes a slot, so that the line goes on only when there are fewer than the limit."""
    flow = limited(world)
    first = world.start(flow)
    end(world, first)
    second, waits = world.start(flow), world.start(flow)
    again = retry_run(world.context, ALICE, first.id, RetryRequest())
    assert statuses(world, second, waits, again) == ["running", "queued", "running"]
    end(world, second)
    assert statuses(world, waits) == ["queued"]
    end(world, again)
    assert statuses(world, waits) == ["running"]


def test_a_run_keeps_its_slot_between_attempts(world: World) -> None:
    """What came later does not overtake what is tried again."""
    flow = limited(world, retryMaxAttempts=1, retryDelayMinutes=10)
    first, second = world.start(flow), world.start(flow)
    world.tell(first, "attemptFailed")
    assert statuses(world, first, second) == ["retrying", "queued"]
    world.tell(first, "attemptStarted", attempt=2)
    world.tell(first, "attemptFailed", attempt=2)
    assert statuses(world, first, second) == ["failed", "running"]


def test_a_newer_request_waits_for_no_retry_of_the_older(world: World) -> None:
    """It supersedes the older run, whose slot it gets."""
    flow = limited(world, retryMaxAttempts=1, retryUniqueRequestIdField="id")
    first = world.start(flow, {"id": 7})
    world.tell(first, "attemptFailed")
    second = world.start(flow, {"id": 7})
    assert statuses(world, first, second) == ["superseded", "running"]
    assert started(world, second)


def test_r14_a_run_that_waits_is_cancelled_twice(world: World) -> None:
    """It leaves the line, never begins, and cancelling it again changes nothing."""
    flow = limited(world)
    first, second, third = (world.start(flow) for _ in range(3))
    once = cancel_run(world.context, second)
    world.clock.forward(minutes=1)
    assert cancel_run(world.context, world.now(second)) == once
    assert (once.status, once.attempts) == (RunStatus.CANCELLED, ())
    end(world, first)
    assert statuses(world, second, third) == ["cancelled", "running"]
    assert not started(world, second)


def test_r14_a_run_that_is_cancelled_as_its_turn_comes_never_begins(world: World) -> None:
    """Its slot goes to the one behind it."""

    class Rushed(MemoryRuns):
        """Where a caller cancels just before a run begins."""

        def dequeue(self, key: RunKey, now: datetime) -> tuple[Run, bool]:
            if key.run_id == second.id:
                cancel_run(world.context, self.get(key))
            return super().dequeue(key, now)

    world.runs = Rushed()
    flow = limited(world)
    first, second, third = (world.start(flow) for _ in range(3))
    end(world, first)
    assert statuses(world, second, third) == ["cancelled", "running"]
    assert not started(world, second)


@pytest.mark.parametrize("outcome", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_slot_is_free_however_a_run_ends(world: World, outcome: str) -> None:
    """Also when only Step Functions tells of it."""
    flow = limited(world)
    first, second = world.start(flow), world.start(flow)
    on_execution_end(world.context, first.key, outcome)
    assert statuses(world, first, second) == ["failed", "running"]


def test_an_end_told_again_begins_nothing_more(world: World) -> None:
    """Each end frees one slot, however often it is told."""
    flow = limited(world)
    first, second, third = (world.start(flow) for _ in range(3))
    end(world, first)
    world.tell(first, "attemptSucceeded")
    on_execution_end(world.context, first.key, "FAILED")
    assert statuses(world, second, third) == ["running", "queued"]


class Deaf(MemoryRuns):
    """A store on which a process dies before it gives a slot back."""

    is_deaf = False

    def swap_lane(self, change: LaneChange) -> bool:
        """Nothing is written any more."""
        if self.is_deaf:
            raise UnavailableError("the process died here")
        return super().swap_lane(change)


def first_ended_unheard(world: World) -> tuple[Run, Run]:
    """Two runs of a flow that lets one be at work; the end of the first was never stored."""
    world.runs = runs = Deaf()
    flow = limited(world)
    first, second = world.start(flow), world.start(flow)
    runs.is_deaf = True
    with pytest.raises(UnavailableError):
        end(world, first)
    runs.is_deaf = False
    return first, second


def test_an_end_that_died_half_way_is_made_up_for_when_it_is_told_again(world: World) -> None:
    """The machine tells it until it was heard."""
    first, second = first_ended_unheard(world)
    assert statuses(world, first, second) == ["succeeded", "queued"]
    world.tell(first, "attemptSucceeded")
    assert statuses(world, second) == ["running"]


def test_a_leaked_slot_is_given_out_when_its_lease_is_over(world: World) -> None:
    """Nobody ever told the end again: the sweeper finds the slot free in time."""
    _, second = first_ended_unheard(world)
    world.clock.forward(minutes=limits.SLOT_LEASE_MINUTES - 1)
    assert sweep(world.context) == 0
    world.clock.forward(minutes=1)
    assert sweep(world.context) == 1
    assert statuses(world, second) == ["running"]
    assert started(world, second)


def test_a_run_that_works_for_long_keeps_its_slot(world: World) -> None:
    """The sweeper renews its lease as long as its machine lives."""
    flow = limited(world)
    first, second = world.start(flow), world.start(flow)
    for _ in range(12):
        world.clock.forward(minutes=5)
        assert sweep(world.context) == 0
    assert statuses(world, first, second) == ["running", "queued"]
    end(world, first)
    assert statuses(world, second) == ["running"]


def test_a_run_that_lost_its_slot_though_it_works_has_it_again(world: World) -> None:
    """After the sweeper was away for long: what is at work counts."""
    flow = limited(world)
    first, second = world.start(flow), world.start(flow)
    world.clock.forward(hours=1)
    assert sweep(world.context) == 0
    assert statuses(world, first, second) == ["running", "queued"]


def test_a_run_that_ends_as_the_sweeper_looks_leaves_no_slot_behind(world: World) -> None:
    """It was at work, or waited, when it was listed; it is over when its lane is looked at."""

    class Late(MemoryRuns):
        """Where all end right after the list was read."""

        def unfinished(self, created_before: datetime) -> tuple[Run, ...]:
            """What was there a moment ago."""
            found = super().unfinished(created_before)
            for run in sorted(found, key=lambda run: run.id):
                cancel_run(replace(world.context, machines=MemoryMachines()), self.get(run.key))
            return found

    world.runs = Late()
    flow = limited(world)
    first, second = world.start(flow), world.start(flow)
    world.clock.forward(minutes=3)
    sweep(world.context)
    assert statuses(world, first, second) == ["cancelled", "cancelled"]
    assert world.runs.lanes(ALICE.workspace_id, limit=9) == ()


def test_a_run_whose_turn_came_as_a_process_died_is_begun_by_the_sweeper(world: World) -> None:
    """It has a slot, and nobody started its machine."""
    flow = limited(world)
    first, second = world.start(flow), world.start(flow)
    key = LaneKey(ALICE.workspace_id, flow.id, "runs")
    lane = world.runs.lane(key)
    assert lane is not None
    turn = lane.left([first.id]).advanced(1, world.clock.now)
    world.runs.swap_lane(LaneChange(key, lane, turn.lane.revised()))
    world.clock.forward(minutes=3)
    assert sweep(world.context) == 1
    assert statuses(world, second) == ["running"]
    assert started(world, second)


def test_a_machine_that_does_not_start_is_left_to_the_sweeper(world: World) -> None:
    """The run has its slot and begins as soon as Step Functions lets it."""

    class Busy(MemoryMachines):
        """Step Functions at its limit."""

        def start(self, machine_arn: str, name: str, data: dict[str, Any]) -> None:
            """Nothing starts."""
            raise UnavailableError(f"{name} does not start: {machine_arn} is busy, {data}")

    flow = limited(world)
    first, second = world.start(flow), world.start(flow)
    world.step(first, "map")
    usual, world.machines = world.machines, Busy()
    world.tell(first, "attemptSucceeded")
    world.machines = usual
    assert statuses(world, second) == ["running"]
    assert not started(world, second)
    world.clock.forward(minutes=3)
    assert sweep(world.context) == 1
    assert started(world, second)


def test_a_run_that_its_lane_forgot_gets_its_place_back(world: World) -> None:
    """The item expired, or was removed by hand."""
    flow = limited(world)
    world.start(flow)
    second = world.start(flow)
    key = LaneKey(ALICE.workspace_id, flow.id, "runs")
    lane = world.runs.lane(key)
    world.runs.swap_lane(LaneChange(key, lane, Lane(revision=9)))
    world.clock.forward(minutes=3)
    sweep(world.context)
    assert statuses(world, second) == ["queued"]
    lane = world.runs.lane(key)
    assert lane is not None
    assert lane.line == [second.id]


def test_a_run_that_waited_too_long_fails(world: World) -> None:
    """It says so, its flow's followers hear of it, and those behind it wait on."""
    flow = limited(world, notificationGroups=[])
    first, second = world.start(flow), world.start(flow)
    world.clock.forward(hours=limits.QUEUE_WAIT_HOURS - 1)
    third = world.start(flow)
    world.clock.forward(hours=1)
    assert sweep(world.context) == 1
    failed = world.now(second)
    assert failed.error is not None
    assert (failed.status, failed.error.code) == (RunStatus.FAILED, "waitedTooLong")
    assert statuses(world, first, third) == ["running", "queued"]
    assert not started(world, second)


def test_disabling_a_flow_drains_its_queue(world: World) -> None:
    """What its triggers started is cancelled; what a caller started waits for its turn."""
    flow = limited(world)
    first = world.start(flow)
    hooked, _ = start_run(world.context, flow, WEBHOOK, None)
    asked = world.start(flow)
    world.change(flow, MAP, enabled=False, concurrency={"limit": 1})
    end(world, first)
    assert statuses(world, hooked, asked) == ["queued", "queued"]
    world.clock.forward(minutes=3)
    sweep(world.context)
    error = world.now(hooked).error
    assert error is not None
    assert error.code == "flowDisabled"
    assert statuses(world, hooked, asked) == ["cancelled", "running"]


@pytest.mark.parametrize("rule", [{"limit": 3}, None])
def test_a_raised_limit_counts_for_those_that_wait(world: World, rule: Json) -> None:
    """The sweeper begins them; without any limit all of them."""
    flow = limited(world)
    runs = [world.start(flow) for _ in range(4)]
    world.change(flow, MAP, concurrency=rule)
    world.clock.forward(minutes=3)
    assert sweep(world.context) == (2 if rule else 3)
    assert statuses(world, *runs)[:3] == ["running"] * 3


def test_queued_time_is_the_time_of_expressions(world: World) -> None:
    """`run.time` is when the run was queued, or when it began, as useQueuedTime says."""
    step = process_step("map", "run.time")
    for uses, minutes in ((True, 0), (False, 30)):
        flow = world.deployed(step, concurrency={"limit": 1}, useQueuedTime=uses)
        first, second = world.start(flow), world.start(flow)
        queued_at = world.clock.now
        world.clock.forward(minutes=30)
        end(world, first)
        begun = world.now(second)
        assert begun.relative_to == queued_at + timedelta(minutes=minutes)


def test_it_is_told_why_a_run_waits_and_until_when(world: World) -> None:
    """In what is told of the flow's lanes and of the run itself."""
    flow = limited(world, rule={"keyExpression": "customer"})
    first, second, third = (world.start(flow, {"customer": "a"}) for _ in range(3))
    (told,) = lanes_of(world.context, ALICE, flow.id)
    assert told.to_json() == {
        "flowId": flow.id,
        "key": "a",
        "limit": 1,
        "taken": 1,
        "waiting": 2,
        "atWork": [first.id],
        "next": [
            {
                "runId": second.id,
                "position": 1,
                "priority": 3,
                "until": "2026-02-01T12:00:00.000Z",
                "reason": "1 of 1 runs that the flow for the key 'a' may have at a time are at "
                f"work, the oldest is {first.id}",
            },
            {
                "runId": third.id,
                "position": 2,
                "priority": 3,
                "until": "2026-02-01T12:00:00.000Z",
                "reason": "1 of 1 runs that the flow for the key 'a' may have at a time are at "
                f"work, the oldest is {first.id}; 1 wait before it",
            },
        ],
    }
    assert get_run(world.context, ALICE, third.id).waiting == told.next[1]
    assert get_run(world.context, ALICE, first.id).waiting is None
    stranger = ALICE.model_copy(update={"workspace_id": "ws_other"})
    assert lanes_of(world.context, stranger, None) == ()


def test_a_key_of_any_length_and_kind_is_counted(world: World) -> None:
    """A long one is shown as its hash; a number or an object as JSON."""
    flow = limited(world, rule={"keyExpression": "key"})
    keys: list[Json] = ["x" * 10_000, 7, {"b": 1, "a": [True]}, ""]
    runs = [world.start(flow, {"key": key}) for key in keys for _ in range(2)]
    assert statuses(world, *runs) == ["running", "queued"] * 4
    shown = [run.place.key for run in runs[::2] if run.place is not None]
    assert len(shown[0] or "") == 64
    assert shown[1:] == ["7", json.dumps({"a": [True], "b": 1}), ""]

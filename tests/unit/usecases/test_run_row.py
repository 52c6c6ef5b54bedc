"""Steps of a synchronous flow that share one invocation, and the end of the run there."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from tests.support.samples import import_step, process_step
from tests.support.world import AMPLE, World

from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed, StepPartialSuccess, StepTransient, UnavailableError
from millrace.domain.run import Run, RunKey, RunOutcome, RunStatus, StepRecord, StepStatus, Trigger
from millrace.domain.step import Step
from millrace.storage.memory import MemoryRuns
from millrace.usecases.lifecycle import cancel_run
from millrace.usecases.pages import read_records
from millrace.usecases.run_answers import handed_on
from millrace.usecases.run_row import RowTask, run_row
from millrace.usecases.runs import Manner, start_run

if TYPE_CHECKING:
    from millrace.domain.flow import Flow

MORE = "{'n': n + 1}"
DOWN = StepTransient("http503", "the shop is down")
CRASH = ConnectionAbortedError("the worker died")


def process(id_: str, after: str | None = None, **changes: Json) -> Step:
    """A step that adds one."""
    return process_step(id_, MORE, depends_on=() if after is None else (after,), **changes)


THREE = (process("a"), process("b", "a"), process("c", "b"))


def started(world: World, *steps: Step, payload: Json = None, **settings: Json) -> Run:
    """A run of a new synchronous flow."""
    world.connection()
    flow = world.deployed(*steps, isSynchronous=True, **settings)
    return world.start(flow, {"n": 1} if payload is None else payload)


def run_steps(
    world: World,
    run: Run,
    *ids: str,
    ends_run: bool = True,
    on_step: Callable[[str], None] = lambda _: None,
    handed: Run | None = None,
) -> Run | None:
    """One invocation, whose machine may have handed on the run."""
    task = RowTask(
        workspace_id=run.workspace_id,
        run_id=run.id,
        attempt=1,
        step_ids=ids,
        ends_run=ends_run,
        input={} if handed is None else handed_on(handed),
    )
    told = run_row(world.context, task, lambda: AMPLE, lambda _: None, on_step, lambda _: None)
    return None if told is None else told.run


def records(world: World, run: Run) -> dict[str, StepRecord]:
    """What is stored of the steps."""
    return {record.step_id: record for record in world.runs.steps(run.key, 1)}


def output(world: World, record: StepRecord) -> list[Record]:
    """What a step handed on."""
    return [each for page in read_records(world.blobs, record.output) for each in page]


def test_each_step_has_its_record_and_the_run_is_over(world: World) -> None:
    """As if each had been called for alone; the flow knows of the end as well."""
    run = started(world, *THREE)
    ended = run_steps(world, run, "a", "b", "c")
    assert ended is not None
    assert ended == world.now(run)
    assert (ended.status, ended.counts.records_in, ended.counts.records_out) == (
        RunStatus.SUCCEEDED,
        1,
        1,
    )
    found = records(world, run)
    assert [*found] == ["a", "b", "c"]
    assert {(each.status, each.tries) for each in found.values()} == {(StepStatus.SUCCEEDED, 1)}
    assert [output(world, each) for each in found.values()] == [[{"n": 2}], [{"n": 3}], [{"n": 4}]]
    latest = world.flow_of(run).latest_run
    assert latest is not None
    assert latest.status is RunStatus.SUCCEEDED


def test_steps_that_share_only_a_part_of_the_machine_end_the_run_with_all(world: World) -> None:
    """The counts are those of every step, also of one that another invocation ran."""
    run = started(world, *THREE)
    assert run_steps(world, run, "a", ends_run=False) is None
    assert world.now(run).status is RunStatus.RUNNING
    ended = run_steps(world, run, "b", "c")
    assert ended is not None
    assert (ended.status, ended.counts.records_in) == (RunStatus.SUCCEEDED, 1)


def test_after_an_error_the_machine_calls_again_and_the_rest_is_done(world: World) -> None:
    """What was over is not done again."""
    write = import_step("write", "con_000001", depends_on=("a",))
    run = started(world, process("a"), write, process("c", "write"))
    world.connectors.write_trouble = {0: [DOWN]}
    with pytest.raises(StepTransient):
        run_steps(world, run, "a", "write", "c")
    assert {id_: each.status for id_, each in records(world, run).items()} == {
        "a": StepStatus.SUCCEEDED,
        "write": StepStatus.RETRYING,
    }
    ended = run_steps(world, run, "a", "write", "c")
    assert ended is not None
    assert ended.status is RunStatus.SUCCEEDED
    assert {id_: each.tries for id_, each in records(world, run).items()} == {
        "a": 1,
        "write": 2,
        "c": 1,
    }


def die_at(step_id: str) -> Callable[[str], None]:
    """Crashes the worker before a step."""

    def die(at: str) -> None:
        if at == step_id:
            raise CRASH

    return die


def test_after_a_crash_steps_that_only_change_records_are_done_again(world: World) -> None:
    """Nothing was written of them, so the next invocation has them all to itself."""
    run = started(world, *THREE)
    with pytest.raises(ConnectionAbortedError):
        run_steps(world, run, "a", "b", "c", on_step=die_at("c"))
    assert records(world, run) == {}
    ended = run_steps(world, run, "a", "b", "c")
    assert ended is not None
    assert ended.status is RunStatus.SUCCEEDED
    assert output(world, records(world, run)["c"]) == [{"n": 4}]


def test_what_a_step_did_elsewhere_is_on_record_before_the_next_one(world: World) -> None:
    """A crash after it loses nothing: what was sent is not sent again."""
    write = import_step("write", "con_000001", depends_on=("a",))
    run = started(world, process("a"), write, process("c", "write"))
    with pytest.raises(ConnectionAbortedError):
        run_steps(world, run, "a", "write", "c", on_step=die_at("c"))
    assert {id_: each.status for id_, each in records(world, run).items()} == {
        "a": StepStatus.SUCCEEDED,
        "write": StepStatus.SUCCEEDED,
    }
    ended = run_steps(world, run, "a", "write", "c")
    assert ended is not None
    assert ended.status is RunStatus.SUCCEEDED
    assert {id_: each.tries for id_, each in records(world, run).items()} == {
        "a": 1,
        "write": 1,
        "c": 1,
    }
    assert len(world.connectors.written) == 1


def test_steps_that_do_more_each_begin_on_record(world: World) -> None:
    """The second begins with the result of the first, and is taken up after a crash."""
    first, second = (
        import_step(id_, "con_000001", depends_on=after)
        for id_, after in (("first", ()), ("second", ("first",)))
    )
    run = started(world, first, second)
    with pytest.raises(ConnectionAbortedError):
        run_steps(world, run, "first", "second", on_step=die_at("second"))
    assert {id_: each.status for id_, each in records(world, run).items()} == {
        "first": StepStatus.SUCCEEDED,
        "second": StepStatus.RUNNING,
    }
    ended = run_steps(world, run, "first", "second")
    assert ended is not None
    assert {id_: each.tries for id_, each in records(world, run).items()} == {
        "first": 1,
        "second": 2,
    }


def test_results_wait_a_second_at_most(world: World) -> None:
    """A crash loses no more of a long row than that."""
    run = started(world, *THREE)

    def dawdle(step_id: str) -> None:
        world.clock.forward(seconds=1)
        die_at("c")(step_id)

    with pytest.raises(ConnectionAbortedError):
        run_steps(world, run, "a", "b", "c", on_step=dawdle)
    assert {id_: each.status for id_, each in records(world, run).items()} == {
        "a": StepStatus.SUCCEEDED,
        "b": StepStatus.SUCCEEDED,
    }


def test_many_results_are_written_as_they_come(world: World) -> None:
    """A transaction holds no more."""
    ids = [f"s{number:02d}" for number in range(45)]
    steps = [process(id_, before) for id_, before in zip(ids, [None, *ids[:-1]], strict=True)]
    run = started(world, *steps)
    ended = run_steps(world, run, *ids)
    assert ended is not None
    assert ended.status is RunStatus.SUCCEEDED
    assert output(world, records(world, run)[ids[-1]]) == [{"n": 46}]


def test_a_row_of_which_others_wrote_is_read_again(world: World) -> None:
    """What another invocation has on record counts, and what follows is made of that."""
    run = started(world, *THREE)

    def overtake(step_id: str) -> None:
        if step_id == "c" and not records(world, run):
            run_steps(world, run, "a", ends_run=False)

    ended = run_steps(world, run, "a", "b", "c", on_step=overtake)
    assert ended is not None
    assert ended.status is RunStatus.SUCCEEDED
    assert {id_: each.tries for id_, each in records(world, run).items()} == dict.fromkeys("abc", 1)
    assert output(world, records(world, run)["c"]) == [{"n": 4}]


def test_failed_records_are_noted_with_a_step_that_only_changes_records(world: World) -> None:
    """They are in the flow's errors, and the run is a partial success."""
    run = started(world, *THREE, payload=[{"n": 1}, {"n": "x"}])
    ended = run_steps(world, run, "a", "b", "c")
    assert ended is not None
    assert (ended.status, ended.counts.records_failed) == (RunStatus.PARTIALLY_SUCCEEDED, 1)
    assert {id_: each.status for id_, each in records(world, run).items()} == {
        "a": StepStatus.PARTIALLY_SUCCEEDED,
        "b": StepStatus.SUCCEEDED,
        "c": StepStatus.SUCCEEDED,
    }
    assert output(world, records(world, run)["c"]) == [{"n": 4}]


def test_a_step_that_fails_stops_those_after_it(world: World) -> None:
    """They never begin, and the run is left to the machine's other way."""
    write = import_step("b", "con_000001", depends_on=("a",))
    run = started(world, THREE[0], write, THREE[2])
    world.connectors.write_trouble = {0: [StepFailed("http401", "not you")]}
    with pytest.raises(StepFailed):
        run_steps(world, run, "a", "b", "c")
    assert {id_: each.status for id_, each in records(world, run).items()} == {
        "a": StepStatus.SUCCEEDED,
        "b": StepStatus.FAILED,
    }
    assert world.now(run).status is RunStatus.RUNNING


def test_a_partial_success_that_stops_begins_no_other_step(world: World) -> None:
    """Nothing of the next step is there, not even that it began."""
    stop: Json = [{"type": "partial_success", "strategy": "stop"}]
    first = process("a", exception_behavior=stop)
    run = started(world, first, process("b", "a"), payload=[{"n": 1}, {"n": "x"}])
    with pytest.raises(StepPartialSuccess):
        run_steps(world, run, "a", "b")
    assert {id_: each.status for id_, each in records(world, run).items()} == {
        "a": StepStatus.PARTIALLY_SUCCEEDED
    }


def test_no_step_begins_once_the_run_was_cancelled(world: World) -> None:
    """A run that was read a second ago is read again before the next step."""
    run = started(world, *THREE)

    def cancel(step_id: str) -> None:
        if step_id == "b":
            cancel_run(world.context, world.now(run))
            world.clock.forward(seconds=1)

    with pytest.raises(StepFailed, match="over"):
        run_steps(world, run, "a", "b", "c", on_step=cancel)
    assert world.now(run).status is RunStatus.CANCELLED
    assert "c" not in records(world, run)


def test_what_the_run_leaves_out_is_passed_over(world: World) -> None:
    """Its output is that of the step before, and it has no record."""
    flow = world.deployed(*THREE, isSynchronous=True)
    how = Manner(steps_to_run=("a", "c"))
    run, _ = start_run(world.context, flow, Trigger(source="manual"), {"n": 1}, how=how)
    ended = run_steps(world, run, "a", "b", "c")
    assert ended is not None
    assert ended.status is RunStatus.SUCCEEDED
    found = records(world, run)
    assert [*found] == ["a", "c"]
    assert output(world, found["c"]) == [{"n": 3}]


def test_what_follows_the_end_is_left_to_the_lifecycle_function(world: World) -> None:
    """The worker may start neither flows nor notifications."""
    other: Flow = world.deployed(process("x"), stableKey="other")
    run = started(world, *THREE, runNextFlowIds=[other.id])
    ended = run_steps(world, run, "a", "b", "c")
    assert ended is not None
    assert (ended.status, ended.is_followed) == (RunStatus.SUCCEEDED, True)
    world.tell(run, "attemptSucceeded")
    told = world.now(run)
    assert not told.is_followed
    assert [each.flow_id for each in told.next_runs] == [other.id]


class Busy(MemoryRuns):
    """Cannot count the end of a run, at times."""

    is_busy = False

    def finish(
        self,
        key: RunKey,
        outcome: RunOutcome,
        now: datetime,
        *,
        seen: Run | None = None,
        fresh: Sequence[StepRecord] = (),
    ) -> Run:
        """See Runs."""
        if self.is_busy:
            raise UnavailableError("too many runs of the flow end at once")
        return super().finish(key, outcome, now, seen=seen, fresh=fresh)


def test_a_run_that_the_worker_cannot_end_is_left_to_the_lifecycle_function(world: World) -> None:
    """The steps are over all the same, so the invocation is no failure."""
    world.runs = store = Busy()
    run = started(world, *THREE)
    store.is_busy = True
    assert run_steps(world, run, "a", "b", "c") is None
    assert world.now(run).status is RunStatus.RUNNING
    store.is_busy = False
    world.tell(run, "attemptSucceeded")
    assert world.now(run).status is RunStatus.SUCCEEDED


def test_another_run_that_is_handed_on_is_left_alone(world: World) -> None:
    """The names that the machine gives say which run it is."""
    run = started(world, *THREE)
    other = world.start(world.flow_of(run), {"n": 2})
    ended = run_steps(world, run, "a", "b", "c", handed=other)
    assert ended == world.now(run)
    assert ended.status is RunStatus.SUCCEEDED
    assert world.now(other).status is RunStatus.RUNNING


def test_a_run_that_was_handed_on_a_second_ago_is_read(world: World) -> None:
    """It may have been cancelled since."""
    run = started(world, *THREE)
    cancel_run(world.context, run)
    world.clock.forward(seconds=1)
    with pytest.raises(StepFailed, match="over"):
        run_steps(world, run, "a", "b", "c", handed=run)


def test_what_became_of_a_run_that_was_handed_on_counts(world: World) -> None:
    """It is cancelled while its steps are at work: nothing of them is written."""
    run = started(world, *THREE)
    cancel_run(world.context, run)
    ended = run_steps(world, run, "a", "b", "c", handed=run)
    assert ended is not None
    assert ended.status is RunStatus.CANCELLED
    assert records(world, run) == {}


def test_steps_on_record_of_a_run_that_was_handed_on_count(world: World) -> None:
    """An invocation that died may have got to them."""
    run = started(world, *THREE)
    run_steps(world, run, "a", ends_run=False)
    ended = run_steps(world, run, "a", "b", "c", handed=run)
    assert ended is not None
    assert ended.status is RunStatus.SUCCEEDED
    assert {id_: each.tries for id_, each in records(world, run).items()} == dict.fromkeys("abc", 1)


def test_a_run_gives_its_slot_back(world: World) -> None:
    """The next one of its lane begins at once."""
    rule: Json = {"limit": 1, "onConflict": "queue"}
    run = started(world, *THREE, concurrency=rule)
    waits = world.start(world.flow_of(run), {"n": 2})
    assert waits.status is RunStatus.QUEUED
    run_steps(world, run, "a", "b", "c")
    assert world.now(waits).status is RunStatus.RUNNING

"""The worker runs a step once, however often it is asked and wherever it was interrupted."""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.support.connectors import ScriptedConnectors
from tests.support.samples import (
    ALICE,
    MALLORY,
    export_step,
    filter_step,
    import_step,
    process_step,
)
from tests.support.time_and_ids import NOON
from tests.support.world import AMPLE, World

from millrace import limits
from millrace.domain.action import ActionInput, ProcessAction
from millrace.domain.base import Record
from millrace.domain.connection import ConnectionInput
from millrace.domain.errors import (
    StepFailed,
    StepPartialSuccess,
    StepThrottled,
    StepTransient,
)
from millrace.domain.operations import Aggregate, AggregateOperation
from millrace.domain.routers import Router, steps_of
from millrace.domain.run import Counts, Run, RunError, RunStatus, StepRecord, StepStatus
from millrace.domain.step import Step
from millrace.usecases.actions import ACTIONS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.pages import read_records
from millrace.usecases.run_step import StepTask, run_step

DOWN = StepTransient("http503", "the shop is down")
MAP = [{"type": "map", "expression": "$"}]
CRASH = ConnectionAbortedError("the worker died")


def orders(count: int, start: int = 0) -> list[Record]:
    """Records that are told apart by their id; every third is not wanted."""
    return [{"id": number, "wanted": number % 3 != 0} for number in range(start, start + count)]


def output(world: World, record: StepRecord) -> list[Record]:
    """The records that a step handed on."""
    return [item for page in read_records(world.blobs, record.output) for item in page]


def started(world: World, *steps: Step, payload: list[Record] | None = None) -> Run:
    """A run of a new flow with these steps, on connection `con_000001`."""
    world.connection()
    return world.start(world.deployed(*steps), payload)


def export(id_: str = "read", **changes: object) -> Step:
    """An export of the connection that `started` makes."""
    return export_step(id_, "con_000001", **changes)


def write(id_: str = "write", batch_size: int | None = None, **changes: object) -> Step:
    """An import to the connection that `started` makes."""
    return import_step(id_, "con_000001", batch_size, **changes)


@pytest.fixture
def world() -> World:
    """A shop with three pages of orders."""
    return World(connectors=ScriptedConnectors(pages=[orders(3), orders(3, 3), orders(2, 6)]))


def test_an_export_hands_on_all_pages(world: World) -> None:
    """What was read is counted, stored and timed."""
    run = started(world, export())
    record = world.step(run, "read")
    assert (record.status, record.tries) == (StepStatus.SUCCEEDED, 1)
    assert record.counts == Counts(records_in=8, records_out=8)
    assert output(world, record) == orders(8)
    assert (record.started_at, record.ended_at) == (NOON, NOON)


def test_r2_a_result_is_answered_without_doing_the_work_again(world: World) -> None:
    """A delivery that the machine repeats reads nothing and writes nothing."""
    run = started(world, export(), write(depends_on=("read",)))
    world.step(run, "read")
    first = world.step(run, "write")
    sent = len(world.connectors.written)
    assert world.step(run, "write") == first
    assert len(world.connectors.written) == sent == 8


def test_an_interrupted_export_goes_on_at_its_checkpoint(world: World) -> None:
    """No page is read twice for one that failed, and no record is lost."""
    run = started(world, export())
    world.connectors.read_trouble = {2: [DOWN, DOWN]}
    for tries in (1, 2):
        with pytest.raises(StepTransient):
            world.step(run, "read")
        (waiting,) = world.runs.steps(run.key, 1)
        assert (waiting.status, waiting.tries) == (StepStatus.RETRYING, tries)
        assert waiting.error is not None
        assert waiting.error.code == "http503"
        assert waiting.counts.records_out == 6
    world.connectors.pages[0] = [{"id": "read twice"}]
    record = world.step(run, "read")
    assert (record.status, record.tries) == (StepStatus.SUCCEEDED, 3)
    assert output(world, record) == orders(8)
    assert record.error is None


def test_a_crash_loses_only_what_was_not_remembered(world: World) -> None:
    """A worker that dies without a word starts again from the last checkpoint, exactly."""
    run = started(world, export())
    world.connectors.read_trouble = {1: [CRASH]}
    with pytest.raises(ConnectionAbortedError):
        world.step(run, "read")
    record = world.step(run, "read")
    assert output(world, record) == orders(8)
    assert record.counts.records_out == 8


def test_r1_a_crash_between_sending_and_remembering_repeats_the_same_request(world: World) -> None:
    """The repeated request has the same key, so the receiver can tell; the others come once."""
    run = started(world, export(), write(batch_size=3, depends_on=("read",)))
    world.step(run, "read")
    world.connectors.write_trouble = {3: [CRASH]}
    with pytest.raises(ConnectionAbortedError):
        world.step(run, "write")
    record = world.step(run, "write")
    positions = [request.position for request in world.connectors.written]
    assert positions == [0, 3, 3, 6]
    first, second = (request for request in world.connectors.written if request.position == 3)
    assert first == second
    assert record.counts == Counts(records_in=8, records_out=8)
    assert output(world, record) == orders(8)


def test_an_interrupted_import_sends_no_batch_again(world: World) -> None:
    """Batches that were acknowledged are not sent a second time."""
    run = started(world, export(), write(batch_size=2, depends_on=("read",)))
    world.step(run, "read")
    world.connectors.write_trouble = {4: [DOWN]}
    with pytest.raises(StepTransient):
        world.step(run, "write")
    world.step(run, "write")
    assert [request.position for request in world.connectors.written] == [0, 2, 4, 4, 6]


def test_p11_a_hundred_thousand_records_are_one_task_of_the_machine(world: World) -> None:
    """A map over them happens in the worker, by pages: the machine's history does not grow."""
    world.connectors.pages = [orders(1_000, 1_000 * page) for page in range(100)]
    doubled = process_step("map", '{"id": id, "twice": id * 2}', depends_on=("read",))
    run = started(world, export(), doubled)
    assert world.step(run, "read").counts.records_out == 100_000
    record = world.step(run, "map")
    assert (record.status, record.tries) == (StepStatus.SUCCEEDED, 1)
    assert record.counts == Counts(records_in=100_000, records_out=100_000)
    assert all(item["twice"] == item["id"] * 2 for item in output(world, record))
    ((machine, _),) = world.machines.deployed.values()
    assert "Map" not in {state["Type"] for state in json.loads(machine)["States"].values()}


def test_request_keys_tell_requests_apart(world: World) -> None:
    """Another run, step or place gives another key; the same one, whichever attempt, the same."""
    steps = (
        export(),
        write(depends_on=("read",)),
        write("copy", depends_on=("read",)),
    )
    first = started(world, *steps)
    for name in ("read", "write", "copy"):
        world.step(first, name)
    world.runs.plan_retry(first.key, 1, RunError(code="http500", message="down"), NOON)
    world.runs.begin_attempt(first.key, 2, NOON)
    keys = [request.key for request in world.connectors.written]
    assert len(set(keys)) == len(keys) == 16
    world.connectors.written.clear()
    for name in ("read", "write"):
        world.step(first, name)
    assert [request.key for request in world.connectors.written] == keys[:8]


def test_a_late_try_changes_nothing(world: World) -> None:
    """A worker that was thought dead and comes back finds that another one took over."""
    run = started(world, export())
    taken_over: list[StepRecord] = []

    def overtake() -> timedelta:
        if not taken_over:
            taken_over.append(world.runs.claim_step(world.runs.get(run.key), "read", NOON))
        return timedelta(seconds=1)

    task = StepTask(workspace_id=run.workspace_id, run_id=run.id, attempt=1, step_id="read")
    with pytest.raises(StepFailed, match="took over"):
        run_step(world.context, task, overtake)
    assert world.runs.steps(run.key, 1) == tuple(taken_over)
    assert world.step(run, "read").status is StepStatus.SUCCEEDED


def test_a_worker_stops_in_time_and_the_next_one_goes_on(world: World) -> None:
    """Before Lambda's deadline the step asks to be called again at once."""
    run = started(world, export())
    for done in (3, 6):
        with pytest.raises(StepThrottled) as raised:
            world.step(run, "read", timedelta(seconds=59))
        assert raised.value.until == NOON
        assert world.runs.steps(run.key, 1)[0].counts.records_out == done
    with pytest.raises(StepThrottled):
        world.step(run, "read", timedelta(seconds=59))
    record = world.step(run, "read", AMPLE)
    assert (record.tries, output(world, record)) == (4, orders(8))


def test_throttling_tells_the_machine_until_when(world: World) -> None:
    """The error's text is the time and nothing else, because a Wait state reads it."""
    until = NOON + timedelta(minutes=5)
    world.connectors.read_trouble = {1: [StepThrottled("throttled", "slow down", until)]}
    run = started(world, export())
    with pytest.raises(StepThrottled) as raised:
        world.step(run, "read")
    assert str(raised.value) == "2026-01-31T12:05:00.000Z"
    assert output(world, world.step(run, "read")) == orders(8)


def test_a_final_failure_is_remembered(world: World) -> None:
    """Asked again, the worker answers the same failure without trying."""
    world.connectors.read_trouble = {1: [StepFailed("http401", "wrong token")]}
    run = started(world, export())
    for _ in range(2):
        with pytest.raises(StepFailed, match="wrong token"):
            world.step(run, "read")
    (record,) = world.runs.steps(run.key, 1)
    assert (record.status, record.tries) == (StepStatus.FAILED, 1)
    assert record.error is not None
    assert record.error.code == "http401"


def test_a_process_changes_records_and_counts_what_it_drops(world: World) -> None:
    """Map and filter see every record; what a filter drops is ignored, not failed."""
    run = started(world, export(), filter_step("keep", depends_on=("read",)))
    world.step(run, "read")
    record = world.step(run, "keep")
    assert record.counts == Counts(records_in=8, records_out=5, records_ignored=3)
    assert [item["id"] for item in output(world, record)] == [1, 2, 4, 5, 7]


def test_a_record_that_cannot_be_mapped_fails_alone(world: World) -> None:
    """The others go on; the step is a partial success and says why."""
    run = started(world, process_step("map", '{"half": n / 2}'), payload=[{"n": 1}, {"n": "x"}])
    record = world.step(run, "map")
    assert record.status is StepStatus.PARTIALLY_SUCCEEDED
    assert record.counts == Counts(records_in=2, records_out=1, records_failed=1)
    assert output(world, record) == [{"half": 0.5}]
    assert record.error is not None


def test_an_interrupted_aggregate_counts_nothing_twice(world: World) -> None:
    """The sums so far are part of the checkpoint."""
    total = AggregateOperation(type="aggregate", figures={"count": Aggregate(function="count")})
    action = ProcessAction(type="Process", operations=(total,))
    payload = [{"id": number} for number in range(2 * limits.PAGE_RECORDS + 1)]
    run = started(world, process_step("sum", action=action), payload=payload)
    for _ in range(3):
        with pytest.raises(StepThrottled):
            world.step(run, "sum", timedelta(seconds=1))
    record = world.step(run, "sum")
    assert output(world, record) == [{"count": len(payload)}]
    assert record.counts.records_in == len(payload)


def test_a_filter_lets_through_drops_or_passes_by(world: World) -> None:
    """Dropped records are ignored; passed ones go on without being written."""
    steps = (
        export(),
        write("drop", depends_on=("read",), filter="wanted"),
        write("pass", depends_on=("read",), filter="wanted", on_not_matching="pass"),
    )
    run = started(world, *steps)
    for step in ("read", "drop", "pass"):
        world.step(run, step)
    dropping, passing = (world.runs.step(run.key, 1, name) for name in ("drop", "pass"))
    assert dropping is not None
    assert passing is not None
    assert dropping.counts == Counts(records_in=8, records_out=5, records_ignored=3)
    assert passing.counts == Counts(records_in=8, records_out=8)
    assert output(world, passing) == orders(8)
    assert all(record["wanted"] for record in world.connectors.records_written)
    assert len(world.connectors.records_written) == 10


def test_a_process_with_a_filter_keeps_the_order(world: World) -> None:
    """Records that pass by stay between those that were changed."""
    step = process_step("map", '{"id": id, "seen": true}', filter="wanted", on_not_matching="pass")
    run = started(world, step, payload=orders(4))
    handed_on = output(world, world.step(run, "map"))
    assert [item["id"] for item in handed_on] == [0, 1, 2, 3]
    assert ["seen" in item for item in handed_on] == [False, True, True, False]


def test_a_filter_that_cannot_say_fails_the_record(world: World) -> None:
    """A record that the filter breaks on is neither written nor dropped in silence."""
    run = started(world, write(filter="n + 1 > 2"), payload=[{"n": 5}, {"n": "x"}])
    record = world.step(run, "write")
    assert record.counts == Counts(records_in=2, records_out=1, records_failed=1)
    assert world.connectors.records_written == [{"n": 5}]


def test_records_that_the_receiver_refuses_fail_alone(world: World) -> None:
    """What was written is handed on; what was refused is counted."""
    world.connectors.refused = [orders(2)[1]]
    run = started(world, write(batch_size=2), payload=orders(4))
    record = world.step(run, "write")
    assert record.status is StepStatus.PARTIALLY_SUCCEEDED
    assert record.counts == Counts(records_in=4, records_out=3, records_failed=1)
    assert [item["id"] for item in output(world, record)] == [0, 2, 3]


def test_partial_success_stops_the_flow_if_asked_to(world: World) -> None:
    """The machine is told by an error of that name, each time it asks."""
    world.connectors.refused = orders(1)
    behavior = ({"type": "partial_success", "strategy": "stop"},)
    run = started(world, write(exception_behavior=behavior), payload=orders(2))
    for _ in range(2):
        with pytest.raises(StepPartialSuccess):
            world.step(run, "write")
    assert len(world.connectors.written) == 2


def test_inputs_are_the_dependencies_outputs_in_their_order(world: World) -> None:
    """Concatenated as `dependsOn` says, not as the steps happen to stand."""
    steps = (
        process_step("a", '{"from": "a"}'),
        process_step("b", '{"from": "b"}'),
        process_step("join", depends_on=("b", "a")),
    )
    run = started(world, *steps, payload=orders(2))
    for step in ("a", "b", "join"):
        world.step(run, step)
    joined = world.runs.step(run.key, 1, "join")
    assert joined is not None
    assert [item["from"] for item in output(world, joined)] == ["b", "b", "a", "a"]


def test_a_skipped_step_is_transparent(world: World) -> None:
    """Its dependants read what it would have read, each source once."""
    steps = (
        process_step("a", '{"from": "a"}'),
        process_step("skip1", depends_on=("a",), is_skipped=True),
        process_step("skip2", depends_on=("skip1", "a"), is_skipped=True),
        process_step("end", depends_on=("skip2", "a")),
    )
    run = started(world, *steps, payload=orders(2))
    world.step(run, "a")
    assert output(world, world.step(run, "end")) == [{"from": "a"}] * 2


def test_a_skipped_first_step_leaves_the_payload(world: World) -> None:
    """With nothing before it, what triggered the run flows through."""
    steps = (process_step("skip", is_skipped=True), process_step("end", depends_on=("skip",)))
    run = started(world, *steps, payload=orders(2))
    assert output(world, world.step(run, "end")) == orders(2)


def test_a_failed_step_that_continues_hands_on_nothing(world: World) -> None:
    """Not even what it had read before it failed."""
    world.connectors.read_trouble = {2: [StepFailed("http401", "wrong token")]}
    continues = ({"type": "failure", "strategy": "continue"},)
    steps = (export(exception_behavior=continues), write(depends_on=("read",)))
    run = started(world, *steps)
    with pytest.raises(StepFailed):
        world.step(run, "read")
    record = world.step(run, "write")
    assert (record.status, record.counts) == (StepStatus.SUCCEEDED, Counts())
    assert world.connectors.written == []


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (None, []),
        ([], []),
        ({"a": 1}, [{"a": 1}]),
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
        ([1, None, [2]], [{"value": 1}, {"value": None}, {"value": [2]}]),
        ("text", [{"value": "text"}]),
        (False, [{"value": False}]),
    ],
)
def test_the_payload_is_the_first_steps_input(
    world: World, payload: object, expected: list[Record]
) -> None:
    """An array gives a record for each member; what is no object is wrapped in one."""
    run = world.start(world.deployed(process_step("map")), payload)
    assert output(world, world.step(run, "map")) == expected


def test_large_outputs_go_to_the_bucket_in_bounded_pages(world: World) -> None:
    """Neither an item nor the worker's memory grows with the number of records."""
    many = [{"id": number, "text": f"{number * 7_919}" * 20} for number in range(2_500)]
    world.connectors.pages = [many[:1_250], many[1_250:]]
    run = started(world, export(), process_step("map", depends_on=("read",)))
    record = world.step(run, "read")
    assert [page.records for page in record.output] == [1_000, 1_000, 500]
    assert [page.key is not None for page in record.output] == [True, True, False]
    assert output(world, world.step(run, "map")) == many


def test_an_import_hands_on_its_inputs_pages(world: World) -> None:
    """What it wrote as it came is in the bucket already."""
    world.connectors.pages = [[{"id": n, "text": f"{n * 7_919}" * 20} for n in range(2_500)]]
    run = started(world, export(), write(batch_size=400, depends_on=("read",)))
    read = world.step(run, "read")
    stored = dict(world.blobs.objects)
    record = world.step(run, "write")
    assert world.blobs.objects == stored
    assert record.output[:2] == read.output[:2]
    assert output(world, record) == world.connectors.records_written == world.connectors.pages[0]


def test_a_long_step_remembers_once_in_a_while(world: World) -> None:
    """A crash in a long export costs a second's worth of work, not all of it."""
    run = started(world, export())
    world.connectors.read_trouble = {2: [CRASH]}

    def slow() -> timedelta:
        world.clock.forward(seconds=2)
        return AMPLE

    task = StepTask(workspace_id=run.workspace_id, run_id=run.id, attempt=1, step_id="read")
    with pytest.raises(ConnectionAbortedError):
        run_step(world.context, task, slow)
    (record,) = world.runs.steps(run.key, 1)
    assert record.counts.records_out == 6


def test_the_worker_leaves_runs_alone_that_are_over(world: World) -> None:
    """Late calls, other attempts, unknown runs and steps: each is final, nothing is recorded."""
    run = started(world, export())
    world.tell(run, "attemptFailed")
    assert world.now(run).status is RunStatus.FAILED
    with pytest.raises(StepFailed, match="over"):
        world.step(run, "read")
    other = world.start(world.deployed(process_step("map")))
    for key, attempt, step, complaint in (
        ((other.workspace_id, other.id), 2, "map", "attempt 1, not 2"),
        ((other.workspace_id, other.id), 1, "nowhere", "no step 'nowhere'"),
        ((MALLORY.workspace_id, other.id), 1, "map", "no run"),
    ):
        task = StepTask(workspace_id=key[0], run_id=key[1], attempt=attempt, step_id=step)
        with pytest.raises(StepFailed, match=complaint):
            run_step(world.context, task, lambda: AMPLE)
    assert world.runs.steps(other.key, 1) == ()


def test_what_a_step_needs_may_be_gone(world: World) -> None:
    """A deleted connection, or action, is a final failure in words."""
    given = ActionInput(
        name="map", work=ProcessAction.model_validate({"type": "Process", "operations": MAP})
    )
    action = ACTIONS.create(world.context, ALICE, given)
    connection = world.connection()
    steps = (
        export_step(connection_id=connection.id),
        process_step("map", action=None, referrer=action.id),
    )
    run = world.start(world.deployed(*steps))
    CONNECTIONS.delete(world.context, ALICE, connection.id, 1)
    ACTIONS.delete(world.context, ALICE, action.id, 1)
    for step, code in (("read", "connectionMissing"), ("map", "actionMissing")):
        with pytest.raises(StepFailed) as raised:
            world.step(run, step)
        assert raised.value.code == code


def test_a_connections_secrets_reach_its_connector(world: World) -> None:
    """The worker reads them when it needs them; they are in no run."""
    given = ConnectionInput.model_validate(
        {
            "name": "n",
            "baseUrl": "https://shop.example",
            "auth": {"type": "bearer", "token": "t0ken"},
        }
    )
    connection = CONNECTIONS.create(world.context, ALICE, given)
    run = world.start(world.deployed(export_step(connection_id=connection.id)))
    world.step(run, "read")
    assert world.connectors.secrets_seen == [{"token": "t0ken"}]


def ids(world: World, run: Run, *steps: str) -> list[list[int]]:
    """The ids of the records that each step hands on."""
    return [[item["id"] for item in output(world, world.step(run, step))] for step in steps]


def test_of_an_exclusive_group_the_first_step_that_matches_takes_a_record(world: World) -> None:
    """In the order of the document; without a filter, a step takes all that is left."""
    group = {"exclusive_group": "size"}
    run = started(
        world,
        process_step("small", filter="id < 3", **group),
        process_step("odd", filter="id % 2 = 1", **group),
        process_step("rest", **group),
        process_step("never", filter="id = 0", **group),
        process_step("other", filter="id = 0", exclusive_group="another"),
        payload=orders(6),
    )
    told = ids(world, run, "small", "odd", "rest", "never", "other")
    assert told == [[0, 1, 2], [3, 5], [4], [], [0]]


def test_a_group_is_of_steps_with_the_same_dependencies(world: World) -> None:
    """The same name elsewhere in the graph is another fork; a skipped step claims nothing."""
    group = {"exclusive_group": "size"}
    run = started(
        world,
        process_step("off", **group, is_skipped=True),
        process_step("low", filter="id < 2", **group),
        process_step("high", **group),
        process_step("again", filter="id < 3", depends_on=("low", "high"), **group),
        process_step("after", depends_on=("high", "low"), **group),
        payload=orders(4),
    )
    told = ids(world, run, "low", "high", "again", "after")
    assert told == [[0, 1], [2, 3], [0, 1, 2], [3]]


def test_a_record_that_a_filter_of_its_group_cannot_judge_fails_once(world: World) -> None:
    """It is the earlier step's, where it counts as failed, and goes to none after it."""
    group = {"exclusive_group": "size"}
    run = started(
        world,
        process_step("sum", filter="$sum(id) > 0", **group),
        process_step("rest", **group),
        payload=[{"id": "x"}, {"id": 0}],
    )
    first, rest = world.step(run, "sum"), world.step(run, "rest")
    assert (first.counts.records_failed, first.counts.records_ignored) == (1, 1)
    assert (rest.counts.records_failed, rest.counts.records_ignored) == (0, 1)
    assert output(world, rest) == [{"id": 0}]


def test_a_record_that_is_anothers_may_be_passed_on(world: World) -> None:
    """Then it goes around the step, as one that its filter refuses does."""
    group = {"exclusive_group": "size"}
    run = started(
        world,
        process_step("low", filter="id < 2", **group),
        process_step("high", '{"id": 9}', on_not_matching="pass", **group),
        payload=orders(3),
    )
    assert ids(world, run, "high") == [[0, 1, 9]]


def test_routers_send_records_through_a_run(world: World) -> None:
    """The steps that routers become run as the routers say."""

    def below(number: int) -> dict[str, Any]:
        return {"version": "1", "rules": ["lessthan", ["extract", "id"], number]}

    routers = [
        Router.model_validate(
            {
                "id": "r1",
                "branches": [
                    {"name": "Drop", "inputFilter": below(2)},
                    {"name": "Low", "inputFilter": below(4), "nextRouterId": "r2"},
                    {"name": "High", "nextRouterId": "r2"},
                ],
            }
        ),
        Router.model_validate(
            {
                "id": "r2",
                "routeRecordsTo": "all_matching_branches",
                "branches": [
                    {"name": "All", "nextRouterId": "r3"},
                    {"name": "Low", "inputFilter": below(3), "nextRouterId": "r3"},
                ],
            }
        ),
        Router.model_validate({"id": "r3", "branches": [{"name": "End", "nextRouterId": "r4"}]}),
        Router.model_validate({"id": "r4", "branches": [{"name": "End"}]}),
    ]
    run = started(world, *steps_of(routers, ()), payload=orders(6))
    told = ids(world, run, "r1.1", "r1.2", "r1.3", "r2.1", "r2.2", "r3.1")
    assert told == [[], [2, 3], [4, 5], [2, 3, 4, 5], [2], [2, 3, 4, 5, 2]]

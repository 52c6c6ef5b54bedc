"""What the worker notes of records that fail, and how a later success resolves it."""

import json

import pytest
from tests.support.connectors import ScriptedConnectors
from tests.support.samples import ALICE, export_step, import_step, process_step
from tests.support.world import World

from millrace import limits
from millrace.domain.base import Record
from millrace.domain.errors import StepFailed, StepTransient
from millrace.domain.failed_record import FailedRecord
from millrace.domain.run import Run, StepStatus
from millrace.domain.step import Step

ORDERS: list[Record] = [{"id": number} for number in range(5)]


@pytest.fixture
def world() -> World:
    """A shop that refuses two of five orders."""
    return World(connectors=ScriptedConnectors(pages=[ORDERS], refused=[{"id": 1}, {"id": 3}]))


def write(batch_size: int | None = None, **changes: object) -> Step:
    """An import to the only connection, of what a process hands on."""
    return import_step("write", "con_000001", batch_size, depends_on=("read",), **changes)


def started(world: World, *steps: Step, **settings: object) -> Run:
    """A run of a flow that reads and does these steps, the export done."""
    world.connection()
    flow = world.deployed(export_step("read", "con_000001"), *steps, **settings)
    run = world.start(flow)
    world.step(run, "read")
    return run


def errors(world: World, run: Run, *, resolved: bool = False) -> list[FailedRecord]:
    """The flow's errors, in the order of the records."""
    page = world.failed_records.page(ALICE.workspace_id, run.flow_id, resolved=resolved)
    return sorted(page.items, key=lambda entry: entry.position)


@pytest.mark.parametrize("batch_size", [None, 2, 100])
def test_each_refused_record_becomes_an_error(world: World, batch_size: int | None) -> None:
    """With its place, its code, what kind that is, and the record as it came into the step."""
    run = started(world, write(batch_size))
    record = world.step(run, "write")
    assert record.status is StepStatus.PARTIALLY_SUCCEEDED
    found = errors(world, run)
    assert [(each.position, each.code, each.classification) for each in found] == [
        (1, "http422", "value"),
        (3, "http422", "value"),
    ]
    assert [json.loads(each.record.inline or "") for each in found if each.record] == [
        {"id": 1},
        {"id": 3},
    ]
    assert {(each.source, each.run_id, each.step_id) for each in found} == {
        ("import", run.id, "write")
    }


def test_errors_of_a_process_and_of_a_filter(world: World) -> None:
    """They are told apart, and the record is the one that came into the step."""
    step = process_step("sum", '{"n": id + 1}', depends_on=("read",), filter="id < 4")
    world.connectors.pages = [[{"id": 1}, {"id": "x"}, {"id": 9}, {"id": 3, "n": "y"}]]
    run = started(world, step, process_step("more", '{"m": n + nope}', depends_on=("sum",)))
    world.step(run, "sum")
    assert [(each.position, each.source, each.code) for each in errors(world, run)] == [
        (1, "filter", "expressionFailed")
    ]


def test_large_records_are_kept_apart(world: World) -> None:
    """An entry stays small, whatever the record; the bucket holds those of a batch together."""
    large = [{"id": number, "text": "é" * limits.INLINE_RECORD_BYTES} for number in range(3)]
    world.connectors.pages = [large]
    world.connectors.refused = large
    run = started(world, write())
    world.step(run, "write")
    places = [each.record for each in errors(world, run)]
    keys = {place.key for place in places if place}
    assert [place.line for place in places if place] == [0, 1, 2]
    assert len(keys) == 1
    assert all(key in world.blobs.objects for key in keys)


@pytest.mark.parametrize("by", ["flow", "step"])
def test_skip_retries_keeps_no_record(world: World, by: str) -> None:
    """The error is noted all the same."""
    step = write(skip_retries=by == "step")
    run = started(world, step, skipRetries=by == "flow")
    world.step(run, "write")
    assert [(each.code, each.record) for each in errors(world, run)] == [("http422", None)] * 2


def test_proceed_on_failure_hands_on_what_failed(world: World) -> None:
    """The error is noted, and the record goes on to the next steps; what is dropped does not."""
    step = write(proceed_on_failure=True, filter="id != 4")
    run = started(world, step)
    record = world.step(run, "write")
    assert (record.counts.records_out, record.counts.records_failed) == (4, 2)
    assert record.counts.records_ignored == 1


def test_proceed_on_failure_of_a_process(world: World) -> None:
    """The record goes on as it came."""
    process = process_step("sum", '{"n": id + 1}', depends_on=("read",), proceed_on_failure=True)
    world.connectors.pages = [[{"id": 1}, {"id": "x"}]]
    run = started(world, process)
    assert world.step(run, "sum").counts.records_out == 2


def test_a_step_that_dies_and_goes_on_notes_a_record_once(world: World) -> None:
    """Whatever it did twice."""
    run = started(world, write())
    world.connectors.write_trouble = {2: [StepTransient("http503", "down")], 4: [OSError("crash")]}
    with pytest.raises(StepTransient):
        world.step(run, "write")
    with pytest.raises(OSError, match="crash"):
        world.step(run, "write")
    world.step(run, "write")
    assert [each.position for each in errors(world, run)] == [1, 3]


def test_errors_are_noted_when_the_step_fails(world: World) -> None:
    """Those that came before what ended it."""
    run = started(world, write())
    world.connectors.write_trouble = {4: [StepFailed("http401", "no entry")]}
    with pytest.raises(StepFailed):
        world.step(run, "write")
    assert [each.position for each in errors(world, run)] == [1, 3]


def test_a_step_on_which_everything_fails_is_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a limit it is the step that is wrong."""
    monkeypatch.setattr(limits, "RECORD_ERRORS_OF_A_STEP", 3)
    world.connectors.refused = ORDERS
    run = started(world, write())
    with pytest.raises(StepFailed) as raised:
        world.step(run, "write")
    assert raised.value.code == "tooManyErrors"
    assert len(errors(world, run)) == 4


def test_a_success_of_the_same_trace_key_resolves(world: World) -> None:
    """An error that a later run makes good is over without anybody's doing."""
    run = started(world, write(trace_key="$string(id)"))
    world.step(run, "write")
    assert [each.trace_key for each in errors(world, run)] == ["1", "3"]
    world.connectors.refused = [{"id": 3}]
    again = world.start(world.flow_of(run))
    world.step(again, "read")
    world.step(again, "write")
    assert {(each.run_id, each.trace_key) for each in errors(world, run)} == {
        (run.id, "3"),
        (again.id, "3"),
    }
    over = errors(world, run, resolved=True)
    assert [(each.trace_key, each.resolved_by) for each in over] == [("1", again.id)]


def test_resolving_by_trace_key_can_be_turned_off(world: World) -> None:
    """Then only a retry or a person resolves."""
    run = started(world, write(trace_key="id"), autoResolveMatchingTraceKeys=False)
    world.step(run, "write")
    world.connectors.refused = []
    again = world.start(world.flow_of(run))
    world.step(again, "read")
    world.step(again, "write")
    assert len(errors(world, run)) == 2


@pytest.mark.parametrize("expression", ["missing", '$error("no")'])
def test_a_record_without_a_trace_key_is_noted_without(world: World, expression: str) -> None:
    """The expression is the author's; where it says nothing, the error stands by itself."""
    run = started(world, write(trace_key=expression))
    world.step(run, "write")
    assert [each.trace_key for each in errors(world, run)] == [None, None]

"""Records are tried again as they were sent at first, and from whatever they failed in."""

import pytest
from tests.support.connectors import ScriptedConnectors
from tests.support.samples import ALICE, export_step, import_step, process_step
from tests.support.world import World

from millrace import limits
from millrace.domain.action import ImportAction
from millrace.domain.base import Record
from millrace.domain.errors import StepFailed
from millrace.domain.failed_record import FailedRecord
from millrace.domain.imports import HttpImport
from millrace.domain.run import Run, RunStatus, StepStatus
from millrace.domain.step import Step
from millrace.usecases.record_errors import ErrorFilter, replace_record
from millrace.usecases.retry_errors import ErrorRetryRequest, Retried, retry_errors
from millrace.usecases.retry_run import RetryRequest, retry_run
from millrace.usecases.run_flow import RunRequest, run_flow

ALL = ErrorRetryRequest(filter=ErrorFilter())
LONG = "x" * 10_000
ORDERS: list[Record] = [{"id": number, "text": LONG[: number * 2_000]} for number in range(5)]


@pytest.fixture
def world() -> World:
    """A shop that refuses two of five orders, large and small."""
    return World(connectors=ScriptedConnectors(pages=[ORDERS], refused=[ORDERS[1], ORDERS[4]]))


def failed_run(world: World, batch_size: int | None = None) -> Run:
    """A run in which the refused orders failed."""
    world.connection()
    write = import_step("write", "con_000001", batch_size, depends_on=("read",))
    then = process_step("then", depends_on=("write",))
    run = world.start(world.deployed(export_step("read", "con_000001"), write, then))
    for step in ("read", "write", "then"):
        world.step(run, step)
    world.tell(run, "attemptSucceeded")
    return run


def retried(world: World, run: Run, asked: ErrorRetryRequest = ALL) -> Retried:
    """What became of trying errors again."""
    return retry_errors(world.context, ALICE, run.flow_id, asked)


def tried_again(world: World, run: Run, asked: ErrorRetryRequest = ALL) -> Run:
    """The one run that tries errors again."""
    first, *others = retried(world, run, asked).runs.values()
    assert all(other == first for other in others)
    return first


def entries(world: World, run: Run, *, resolved: bool = False) -> list[FailedRecord]:
    """The flow's errors."""
    return [*world.failed_records.page(ALICE.workspace_id, run.flow_id, resolved=resolved).items]


def test_a_request_sent_again_has_its_first_idempotency_key(world: World) -> None:
    """A receiver that took it after all sees that it is the same one."""
    run = failed_run(world)
    first = {request.position: request.key for request in world.connectors.written}
    world.connectors.refused = []
    world.connectors.written = []
    again = tried_again(world, run)
    world.step(again, "write")
    assert {request.position: request.key for request in world.connectors.written} == {
        1: first[1],
        4: first[4],
    }
    assert world.connectors.records_written == [ORDERS[1], ORDERS[4]]
    assert entries(world, run) == []
    assert len(entries(world, run, resolved=True)) == 2
    assert world.step(again, "then").counts.records_in == 2


def test_records_are_tried_again_with_the_inputs_that_they_failed_with(world: World) -> None:
    """Those of two runs in two runs, since their requests may say something else."""
    world.connection()
    http = HttpImport(path="/{{ parameters.shop }}")
    action = ImportAction(type="Import", connection_id="con_000001", http=http)
    flow = world.deployed(Step(id="write", type="Import", action=action))
    for shop in ("north", "south"):
        asked = RunRequest(payload=[ORDERS[1]], parameters={"shop": shop})
        run = run_flow(world.context, ALICE, flow.id, asked)
        world.step(run, "write")
        world.tell(run, "attemptSucceeded")
    world.connectors.refused = []
    world.connectors.written = []
    again = {each.id: each for each in retried(world, run).runs.values()}
    assert len(again) == 2
    for each in again.values():
        world.step(each, "write")
    assert {request.path for request in world.connectors.written} == {"/north", "/south"}


def test_what_is_written_in_batches_is_tried_in_batches(world: World) -> None:
    """Only the records that failed are in them."""
    run = failed_run(world, 5)
    world.connectors.written = []
    world.connectors.refused = []
    again = tried_again(world, run)
    world.step(again, "write")
    assert [request.records for request in world.connectors.written] == [(ORDERS[1], ORDERS[4])]


def test_many_pages_of_records_are_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their list is in the bucket where it is long."""
    run = failed_run(world)
    monkeypatch.setattr(limits, "OUTPUT_PAGES_LISTED", 1)
    monkeypatch.setattr(limits, "PAGE_RECORDS", 1)
    world.connectors.written = []
    world.connectors.refused = []
    again = tried_again(world, run)
    world.step(again, "write")
    assert world.connectors.records_written == [ORDERS[1], ORDERS[4]]


def test_a_retry_that_dies_goes_on(world: World) -> None:
    """Each record is tried, and what became of it noted, once."""
    run = failed_run(world)
    world.connectors.refused = [ORDERS[4]]
    world.connectors.write_trouble = {4: [OSError("crash")]}
    again = tried_again(world, run)
    with pytest.raises(OSError, match="crash"):
        world.step(again, "write")
    record = world.step(again, "write")
    assert (record.status, record.counts.records_in) == (StepStatus.PARTIALLY_SUCCEEDED, 2)
    (left,) = entries(world, run)
    assert (left.position, left.run_id, left.retries, left.retry_run_id) == (4, again.id, 1, None)
    assert left.origin_run_id == run.id


def test_a_retry_that_fails_as_a_whole_can_be_repeated(world: World) -> None:
    """Once its run is over."""
    run = failed_run(world)
    again = tried_again(world, run)
    world.connectors.write_trouble = {1: [StepFailed("http401", "no entry")]}
    with pytest.raises(StepFailed):
        world.step(again, "write")
    assert {*retried(world, run).left_out.values()} == {"underWay"}
    world.tell(again, "attemptFailed")
    assert world.now(again).status is RunStatus.FAILED
    assert len(retried(world, run).runs) == 2


def test_a_retry_that_failed_is_run_again_with_the_same_records(world: World) -> None:
    """From its failed step it takes the records that it was for, and nothing else."""
    run = failed_run(world)
    again = tried_again(world, run)
    world.connectors.write_trouble = {1: [StepFailed("http401", "no entry")]}
    with pytest.raises(StepFailed):
        world.step(again, "write")
    world.tell(again, "attemptFailed")
    world.connectors.refused = []
    once_more = retry_run(world.context, ALICE, again.id, RetryRequest(from_="failedStep"))
    assert world.step(once_more, "write").counts.records_in == 2
    assert {entry.position for entry in entries(world, run, resolved=True)} == {1, 4}


def test_two_requests_at_once_start_one_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one comes when the first one has looked what there is to try, and not more."""
    run = failed_run(world)
    put, meanwhile = world.blobs.put, list[Retried]()

    def slow(key: str, data: bytes) -> None:
        monkeypatch.setattr(world.blobs, "put", put)
        meanwhile.append(retried(world, run))
        put(key, data)

    monkeypatch.setattr(world.blobs, "put", slow)
    monkeypatch.setattr(limits, "INLINE_OUTPUT_BYTES", 0)
    told = retried(world, run)
    (both,) = {each.id for each in (*told.runs.values(), *meanwhile[0].runs.values())}
    assert {entry.retry_run_id for entry in entries(world, run)} == {both}
    assert {entry.retries for entry in entries(world, run)} == {1}


def test_what_cannot_be_tried_is_named(world: World) -> None:
    """A step that the deployed version has no more, a record that is gone, an id of nothing."""
    run = failed_run(world)
    first, second = entries(world, run)
    flow = world.flow_of(run)
    world.change(flow, export_step("read", "con_000001"))
    world.deploy(world.flow_of(run))
    ids = (first.id, "err_1_2_none")
    latest = retried(world, run, ErrorRetryRequest(error_ids=ids, version="latest"))
    assert (latest.left_out, latest.unknown) == ({first.id: "stepGone"}, ("err_1_2_none",))
    for key in [key for key in world.blobs.objects if key.startswith("errors/")]:
        del world.blobs.objects[key]
    told = retried(world, run)
    large = max(first, second, key=lambda entry: entry.position)
    assert told.left_out == {large.id: "noRecord"}
    assert len(told.runs) == 1


def test_errors_of_several_steps_take_a_run_each(world: World) -> None:
    """A run begins with one step."""
    run = failed_run(world)
    world.failed_records.put(
        [
            entries(world, run)[0].model_copy(
                update={"id": f"err_{run.id.removeprefix('run_')}_0_then", "step_id": "then"}
            )
        ]
    )
    told = retried(world, run)
    assert len(told.runs) == 3
    runs = {each.id: each for each in told.runs.values()}
    assert sorted(each.steps_to_run or () for each in runs.values()) == [
        ("then",),
        ("write", "then"),
    ]


def test_what_an_export_could_not_read_is_handed_on_once_somebody_wrote_it(world: World) -> None:
    """The run goes on from the export without asking the system again."""
    run = failed_run(world)
    place = f"err_{run.id.removeprefix('run_')}_7_read"
    bad = entries(world, run)[0].model_copy(
        update={"id": place, "step_id": "read", "record": None, "position": 7}
    )
    world.failed_records.put([bad])
    by_id = ErrorRetryRequest(error_ids=(place,))
    assert retried(world, run, by_id).left_out == {place: "noRecord"}
    replace_record(world.context, ALICE, run.flow_id, place, {"id": 7}, bad.revision)
    again = tried_again(world, run, by_id)
    world.connectors.pages = []
    record = world.step(again, "read")
    assert (record.counts.records_in, record.counts.records_out) == (1, 1)
    world.step(again, "write")
    assert world.connectors.records_written[-1] == {"id": 7}
    assert place in {entry.id for entry in entries(world, run, resolved=True)}


def test_a_mended_record_that_the_filter_passes_by_is_dealt_with(world: World) -> None:
    """It goes on unchanged, as the step says of such records, and its error is over."""
    world.connection()
    write = import_step(
        "write", "con_000001", depends_on=("read",), filter="id != 9", on_not_matching="pass"
    )
    run = world.start(world.deployed(export_step("read", "con_000001"), write))
    for step in ("read", "write"):
        world.step(run, step)
    world.tell(run, "attemptSucceeded")
    for entry in entries(world, run):
        replace_record(world.context, ALICE, run.flow_id, entry.id, {"id": 9}, entry.revision)
    again = tried_again(world, run)
    assert world.step(again, "write").counts.records_out == 2
    assert entries(world, run) == []


def test_errors_of_an_environment_that_is_gone_are_left_out(world: World) -> None:
    """The others are tried all the same."""
    run = failed_run(world)
    first, second = entries(world, run)
    gone = first.model_copy(update={"virtual_environment_id": "env_9"})
    world.failed_records.put([gone])
    told = retried(world, run)
    assert told.left_out == {first.id: "environmentGone"}
    assert [*told.runs] == [second.id]


def test_errors_are_marked_before_their_run_starts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that dies after the start and is repeated meets the run that is under way."""
    run = failed_run(world)

    def die(*_: object) -> None:
        raise OSError("the function died")

    monkeypatch.setattr(world.machines, "start", die)
    with pytest.raises(OSError, match="died"):
        retried(world, run)
    monkeypatch.undo()
    assert {*retried(world, run).left_out.values()} == {"underWay"}

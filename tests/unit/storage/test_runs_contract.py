"""What every store of runs promises, whether in memory or in DynamoDB."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.support.samples import ALICE, MALLORY, run
from tests.support.time_and_ids import NOON

from millrace import limits
from millrace.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from millrace.domain.metrics import Counted, Grain
from millrace.domain.ports import Runs
from millrace.domain.run import (
    Counts,
    Followed,
    NextRun,
    OutputPage,
    PayloadRef,
    RunError,
    RunFilter,
    RunKey,
    RunOutcome,
    RunStatus,
    StepRecord,
    StepStatus,
    Trigger,
)

LATER = NOON + timedelta(minutes=1)
KEY = run().key
ERROR = RunError(code="http500", message="the shop is down", step_id="read")
DONE_LATER = {"status": StepStatus.SUCCEEDED, "ended_at": LATER}
DONE = RunOutcome(status=RunStatus.SUCCEEDED, counts=Counts(records_in=3, records_out=2))


def test_a_run_is_read_back_whole(runs: Runs) -> None:
    """A run comes back equal, payload and attempts included."""
    stored = run(payload=PayloadRef(inline='{"a":"é"}'))
    assert runs.create(stored) == (stored, True)
    assert runs.get(KEY) == stored


@pytest.mark.parametrize(
    "key",
    [
        RunKey(MALLORY.workspace_id, "run_1"),
        RunKey(ALICE.workspace_id, "run_2"),
        RunKey(ALICE.workspace_id, ""),
        RunKey(ALICE.workspace_id, "x" * 2_048),
    ],
    ids=["other workspace", "unknown", "empty", "long"],
)
def test_a_run_that_is_not_here_is_not_found(runs: Runs, key: RunKey) -> None:
    """Another workspace's run looks like one that never was."""
    runs.create(run())
    with pytest.raises(NotFoundError):
        runs.get(key)
    with pytest.raises(NotFoundError):
        runs.detail(key)
    assert runs.steps(key, 1) == ()
    assert runs.step(key, 1, "read") is None


def test_a_dedupe_key_names_one_run(runs: Runs) -> None:
    """The second run for the same key is not stored; the first is answered."""
    first, _ = runs.create(run("run_1"), dedupe_key="hook_1\ndelivery")
    assert runs.create(run("run_2"), dedupe_key="hook_1\ndelivery") == (first, False)
    with pytest.raises(NotFoundError):
        runs.get(RunKey(ALICE.workspace_id, "run_2"))
    assert runs.create(run("run_3"), dedupe_key="hook_1\nother")[1]


def test_a_dedupe_key_is_forgotten_when_its_time_is_over(runs: Runs) -> None:
    """Whether or not the store has removed it by then."""
    memory = timedelta(seconds=60)
    first, _ = runs.create(run("run_1"), dedupe_key="d", dedupe_for=memory)
    just = run("run_2", created_at=NOON + timedelta(seconds=59))
    assert runs.create(just, dedupe_key="d", dedupe_for=memory) == (first, False)
    after = run("run_3", created_at=NOON + timedelta(seconds=60))
    assert runs.create(after, dedupe_key="d", dedupe_for=memory) == (after, True)
    later = run("run_4", created_at=NOON + timedelta(seconds=119))
    assert runs.create(later, dedupe_key="d", dedupe_for=memory) == (after, False)


def test_a_run_comes_with_the_steps_of_its_latest_attempt(runs: Runs) -> None:
    """In one read, in the order in which they started."""
    with pytest.raises(NotFoundError):
        runs.detail(KEY)
    stored, _ = runs.create(run())
    assert runs.detail(KEY) == (stored, ())
    runs.claim_step(runs.get(KEY), "read", NOON)
    second = runs.claim_step(runs.get(KEY), "b", NOON)
    third = runs.claim_step(runs.get(KEY), "a", LATER)
    first = runs.steps(KEY, 1)[1]
    assert runs.detail(KEY) == (stored, (second, first, third))
    runs.plan_retry(KEY, 1, ERROR, NOON)
    again = runs.begin_attempt(KEY, 2, LATER)
    assert runs.detail(KEY) == (again, ())


def test_a_dedupe_key_holds_within_its_workspace(runs: Runs) -> None:
    """Two workspaces may get deliveries of the same name."""
    runs.create(run("run_1"), dedupe_key="same")
    theirs = run("run_2", workspace_id=MALLORY.workspace_id)
    assert runs.create(theirs, dedupe_key="same") == (theirs, True)


def test_a_dedupe_key_may_be_any_text(runs: Runs) -> None:
    """Delivery ids come from headers: long, empty, in any script."""
    for number, key in enumerate(["", "x" * 5_000, "ключ", "\udcff"]):
        mine = run(f"run_{number}")
        assert runs.create(mine, dedupe_key=key) == (mine, True)
        assert runs.create(run(f"run_9{number}"), dedupe_key=key) == (mine, False)


def test_a_step_is_claimed_again_until_it_is_over(runs: Runs) -> None:
    """Each claim of an open step is one more try; a result ends that."""
    runs.create(run())
    assert runs.step(KEY, 1, "read") is None
    first = runs.claim_step(runs.get(KEY), "read", NOON)
    assert (first.tries, first.status, first.started_at) == (1, StepStatus.RUNNING, NOON)
    second = runs.claim_step(runs.get(KEY), "read", LATER)
    assert (second.tries, second.started_at) == (2, NOON)
    result = second.model_copy(update={"status": StepStatus.SUCCEEDED, "ended_at": LATER})
    assert runs.save_step(KEY, result) == result
    assert runs.claim_step(runs.get(KEY), "read", LATER) == result
    assert runs.step(KEY, 1, "read") == result


def test_a_result_may_begin_the_next_step(runs: Runs) -> None:
    """In one write, or neither: not where the next one began before, nor after another try."""
    runs.create(run())
    first = runs.claim_step(runs.get(KEY), "read", NOON)
    begun = StepRecord.begun("map", 1, LATER)
    result = first.model_copy(update=DONE_LATER)
    assert runs.write_steps(KEY, [begun], result)
    assert (runs.step(KEY, 1, "read"), runs.step(KEY, 1, "map")) == (result, begun)
    second = runs.claim_step(runs.get(KEY), "map", LATER)
    assert second.tries == 2
    late = begun.model_copy(update=DONE_LATER)
    write = StepRecord.begun("write", 1, LATER)
    assert not runs.write_steps(KEY, [write], late)
    assert (runs.step(KEY, 1, "map"), runs.step(KEY, 1, "write")) == (second, None)
    runs.claim_step(runs.get(KEY), "write", NOON)
    mapped = second.model_copy(update=DONE_LATER)
    assert not runs.write_steps(KEY, [write], mapped)
    assert runs.step(KEY, 1, "map") == second


def test_steps_without_records_are_written_together(runs: Runs) -> None:
    """Results and first tries; one that has a record by now keeps all the others out."""
    runs.create(run())
    read, mapped = (StepRecord.begun(id_, 1, NOON).model_copy(update=DONE_LATER) for id_ in "ab")
    write = StepRecord.begun("c", 1, LATER)
    assert runs.write_steps(KEY, [read, mapped, write])
    assert runs.steps(KEY, 1) == (read, mapped, write)
    assert not runs.write_steps(KEY, [StepRecord.begun("d", 1, LATER), read])
    assert runs.step(KEY, 1, "d") is None
    assert runs.claim_step(runs.get(KEY), "c", LATER).tries == 2


def test_a_run_ends_along_with_its_last_steps_or_not_at_all(runs: Runs) -> None:
    """A run that others ended stays as it is, and so do its steps."""
    runs.create(run())
    read, mapped = (StepRecord.begun(id_, 1, NOON).model_copy(update=DONE_LATER) for id_ in "ab")
    assert runs.write_steps(KEY, [read])
    seen = runs.get(KEY)
    with pytest.raises(ConflictError):
        runs.finish(KEY, DONE, LATER, seen=seen, fresh=[read, mapped])
    assert runs.get(KEY).status is RunStatus.RUNNING
    assert runs.step(KEY, 1, "b") is None
    ended = runs.finish(KEY, DONE, LATER, seen=seen, fresh=[mapped])
    assert ended.status is RunStatus.SUCCEEDED
    assert runs.detail(KEY) == (ended, (read, mapped))
    third = StepRecord.begun("c", 1, LATER)
    assert runs.finish(KEY, DONE, LATER, seen=seen, fresh=[third]) == ended
    assert runs.step(KEY, 1, "c") is None


def test_a_checkpoint_is_there_for_the_next_try(runs: Runs) -> None:
    """What a try remembered (counts, output, place, error) is what the next one finds."""
    runs.create(run())
    saved = runs.claim_step(runs.get(KEY), "read", NOON).model_copy(
        update={
            "checkpoint": {"cursor": {"offset": 200}},
            "counts": Counts(records_in=200, records_out=200),
            "output": (
                OutputPage(records=150, key="ws/runs/1.ndjson.gz"),
                OutputPage(records=50, data=bytes(range(256))),
            ),
            "error": ERROR,
            "status": StepStatus.RETRYING,
        }
    )
    runs.save_step(KEY, saved)
    assert runs.step(KEY, 1, "read") == saved
    resumed = runs.claim_step(runs.get(KEY), "read", LATER)
    assert resumed == saved.model_copy(update={"tries": 2, "status": StepStatus.RUNNING})


def test_a_try_that_was_overtaken_writes_nothing(runs: Runs) -> None:
    """A late try's checkpoint and result are both refused once another try has begun."""
    runs.create(run())
    late = runs.claim_step(runs.get(KEY), "read", NOON)
    current = runs.claim_step(runs.get(KEY), "read", LATER)
    for update in ({"checkpoint": "late"}, {"status": StepStatus.SUCCEEDED}):
        with pytest.raises(ConflictError):
            runs.save_step(KEY, late.model_copy(update=update))
    assert runs.step(KEY, 1, "read") == current


def test_a_result_stays(runs: Runs) -> None:
    """Whoever writes after the result is told the result."""
    runs.create(run())
    late = runs.claim_step(runs.get(KEY), "read", NOON)
    current = runs.claim_step(runs.get(KEY), "read", NOON)
    result = current.model_copy(update={"status": StepStatus.FAILED, "error": ERROR})
    runs.save_step(KEY, result)
    for other in (late, current):
        assert (
            runs.save_step(KEY, other.model_copy(update={"status": StepStatus.SUCCEEDED})) == result
        )
    assert runs.step(KEY, 1, "read") == result


def test_a_step_that_was_never_claimed_cannot_be_saved(runs: Runs) -> None:
    """A record out of nowhere is refused."""
    runs.create(run())
    record = runs.claim_step(runs.get(KEY), "read", NOON)
    with pytest.raises(ConflictError):
        runs.save_step(KEY, record.model_copy(update={"step_id": "write"}))
    assert runs.step(KEY, 1, "write") is None


def test_steps_belong_to_their_attempt_and_come_in_order(runs: Runs) -> None:
    """An attempt's steps are listed as they started; a second attempt starts with none."""
    runs.create(run())
    runs.claim_step(runs.get(KEY), "b", NOON)
    runs.claim_step(runs.get(KEY), "a", LATER)
    runs.claim_step(runs.get(KEY), "c", NOON)
    assert [record.step_id for record in runs.steps(KEY, 1)] == ["b", "c", "a"]
    assert runs.steps(KEY, 2) == ()


def test_a_step_cannot_begin_in_a_run_that_is_over(runs: Runs) -> None:
    """A worker that comes late is sent away."""
    runs.create(run())
    runs.finish(KEY, DONE, LATER)
    with pytest.raises(ConflictError, match="over"):
        runs.claim_step(runs.get(KEY), "read", LATER)
    assert runs.steps(KEY, 1) == ()


def test_a_terminal_status_is_written_once(runs: Runs) -> None:
    """The first end of a run stands, whatever is reported afterwards."""
    runs.create(run())
    ended = runs.finish(KEY, DONE, LATER)
    assert (ended.status, ended.counts, ended.ended_at) == (DONE.status, DONE.counts, LATER)
    assert ended.attempts[0].status is RunStatus.SUCCEEDED
    assert ended.attempts[0].ended_at == LATER
    failed = RunOutcome(status=RunStatus.FAILED, error=ERROR)
    assert runs.finish(KEY, failed, LATER + timedelta(hours=1)) == ended
    assert runs.plan_retry(KEY, 1, ERROR, LATER) == ended
    assert runs.begin_attempt(KEY, 2, LATER) == ended
    assert runs.get(KEY) == ended


def test_a_second_attempt_is_planned_and_begun_once(runs: Runs) -> None:
    """Failed, waiting, running again: each happens once, however often it is reported."""
    runs.create(run())
    planned = runs.plan_retry(KEY, 1, ERROR, LATER)
    assert (planned.status, planned.attempt, planned.error) == (RunStatus.RETRYING, 1, ERROR)
    assert planned.attempts[0].status is RunStatus.FAILED
    assert runs.plan_retry(KEY, 1, ERROR, LATER + timedelta(hours=1)) == planned
    begun = runs.begin_attempt(KEY, 2, LATER)
    assert (begun.status, begun.attempt) == (RunStatus.RUNNING, 2)
    assert [attempt.number for attempt in begun.attempts] == [1, 2]
    assert runs.begin_attempt(KEY, 2, LATER + timedelta(hours=1)) == begun
    assert runs.plan_retry(KEY, 1, ERROR, LATER) == begun
    assert runs.claim_step(runs.get(KEY), "read", LATER).attempt == 2
    assert [record.attempt for record in runs.steps(KEY, None)] == [2]


def test_an_attempt_begins_only_after_one_that_failed(runs: Runs) -> None:
    """A run that runs is not begun again, and no attempt is left out."""
    runs.create(run())
    assert runs.begin_attempt(KEY, 2, LATER).attempt == 1
    runs.plan_retry(KEY, 1, ERROR, LATER)
    assert runs.begin_attempt(KEY, 3, LATER).attempt == 1


def test_a_run_that_is_not_there_cannot_change(runs: Runs) -> None:
    """The end of an unknown run is an error, not a new run."""
    with pytest.raises(NotFoundError):
        runs.finish(KEY, DONE, LATER)


def test_unfinished_runs_are_found_until_they_end(runs: Runs) -> None:
    """The sweeper sees old open runs of all workspaces, and no others."""
    runs.create(run("run_old"))
    runs.create(run("run_waiting"))
    runs.create(run("run_theirs", workspace_id=MALLORY.workspace_id))
    runs.create(run("run_over"))
    runs.create(run("run_new", created_at=LATER))
    runs.plan_retry(RunKey(ALICE.workspace_id, "run_waiting"), 1, ERROR, LATER)
    runs.finish(RunKey(ALICE.workspace_id, "run_over"), DONE, LATER)
    found = {each.id for each in runs.unfinished(LATER)}
    assert found == {"run_old", "run_waiting", "run_theirs"}
    for each in runs.unfinished(LATER):
        runs.finish(each.key, DONE, LATER)
    assert runs.unfinished(LATER) == ()


def test_unfinished_runs_of_a_flow_are_found_until_they_end(runs: Runs) -> None:
    """Waiting or running, whenever they were created; nobody else's."""
    runs.create(run("run_waiting"))
    runs.create(run("run_over"))
    runs.create(run("run_new", created_at=LATER))
    runs.create(run("run_other", flow_id="flow_2"))
    runs.create(run("run_theirs", workspace_id=MALLORY.workspace_id))
    runs.plan_retry(RunKey(ALICE.workspace_id, "run_waiting"), 1, ERROR, LATER)
    runs.finish(RunKey(ALICE.workspace_id, "run_over"), DONE, LATER)
    found = runs.unfinished_of(ALICE.workspace_id, "flow_1")
    assert {each.id for each in found} == {"run_waiting", "run_new"}
    for each in found:
        runs.finish(each.key, DONE, LATER)
    assert runs.unfinished_of(ALICE.workspace_id, "flow_1") == ()


def test_runs_of_a_flow_are_listed_newest_first(runs: Runs) -> None:
    """Page after page gives each run of the flow once, and nobody else's."""
    ids = [f"run_{number}" for number in range(5)]
    for id_ in ids:
        runs.create(run(id_))
    runs.create(run("run_7", flow_id="flow_2"))
    runs.create(run("run_8", workspace_id=MALLORY.workspace_id))
    first = runs.page(ALICE.workspace_id, "flow_1", limit=3)
    second = runs.page(ALICE.workspace_id, "flow_1", limit=3, cursor=first.cursor)
    seen = [each.id for each in (*first.items, *second.items)]
    assert seen == ids[::-1]
    assert second.cursor is None


def test_runs_of_a_workspace_are_listed_by_when_they_were_created(runs: Runs) -> None:
    """Whatever their flows and ids; page after page gives each run once, and nobody else's."""
    for number, id_ in enumerate(("run_d", "run_a", "run_c", "run_b", "run_e")):
        created = NOON + timedelta(seconds=number)
        runs.create(run(id_, flow_id=f"flow_{number % 2}", created_at=created))
    runs.create(run("run_x", workspace_id=MALLORY.workspace_id))
    pages = [*every_page(runs, RunFilter(), limit=2)]
    assert pages == [["run_e", "run_b"], ["run_c", "run_a"], ["run_d"]]


def every_page(
    runs: Runs, where: RunFilter, limit: int, flow_id: str | None = None
) -> Iterator[list[str]]:
    """The ids of each page of a list, to its end."""
    cursor = None
    while True:
        page = runs.page(ALICE.workspace_id, flow_id, where=where, limit=limit, cursor=cursor)
        yield [each.id for each in page.items]
        cursor = page.cursor
        if cursor is None:
            return


BY_HAND = Trigger(source="manual")
BY_SCHEDULE = Trigger(source="schedule")
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (RunFilter(statuses=(RunStatus.SUCCEEDED,)), "6 3 0"),
        (RunFilter(statuses=(RunStatus.SUCCEEDED, RunStatus.RUNNING)), "6 5 4 3 2 1 0"),
        (RunFilter(statuses=(RunStatus.FAILED,)), ""),
        (RunFilter(trigger_sources=("schedule",)), "6 4 2 0"),
        (RunFilter(statuses=(RunStatus.SUCCEEDED,), trigger_sources=("schedule",)), "6 0"),
        (RunFilter(created_after=NOON + 4 * SECOND), "6 5 4"),
        (RunFilter(created_before=NOON + 2 * SECOND), "1 0"),
        (RunFilter(created_after=NOON + 2 * SECOND, created_before=NOON + 4 * SECOND), "3 2"),
        (RunFilter(created_after=NOON + 4 * SECOND, created_before=NOON + 2 * SECOND), ""),
        (RunFilter(trigger_sources=("manual",), created_after=NOON + 2 * SECOND), "5 3"),
    ],
)
@pytest.mark.parametrize("flow_id", [None, "flow_1"], ids=["workspace", "flow"])
def test_runs_are_filtered(
    runs: Runs, flow_id: str | None, where: RunFilter, expected: str
) -> None:
    """By what they are now, however few there are to a page."""
    for number in range(7):
        trigger = Trigger(source="manual") if number % 2 else BY_SCHEDULE
        created = NOON + number * SECOND
        made, _ = runs.create(run(f"run_{number}", trigger=trigger, created_at=created))
        if number % 3 == 0:
            runs.finish(made.key, DONE, LATER)
    for limit in (1, 2, 10):
        found = [id_ for page in every_page(runs, where, limit, flow_id) for id_ in page]
        assert " ".join(id_.removeprefix("run_") for id_ in found) == expected


def test_runs_of_a_workspace_are_filtered_by_flow(runs: Runs) -> None:
    """Of several flows, those of any."""
    for number in range(6):
        runs.create(run(f"run_{number}", flow_id=f"flow_{number % 3}"))
    where = RunFilter(flow_ids=("flow_0", "flow_2"))
    assert [*every_page(runs, where, limit=10)] == [["run_5", "run_3", "run_2", "run_0"]]


def test_a_filter_looks_at_a_bounded_number_of_runs(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may be empty, and the next goes on where it stopped looking."""
    monkeypatch.setattr(limits, "WALKED_ITEMS", 4)
    monkeypatch.setattr(limits, "BATCH_READ_ITEMS", 2)
    for number in range(12):
        runs.create(run(f"run_{number:02d}", trigger=BY_SCHEDULE if number == 1 else BY_HAND))
    where = RunFilter(trigger_sources=("schedule",))
    pages = [page for flow_id in (None, "flow_1") for page in every_page(runs, where, 5, flow_id)]
    assert pages[0] == []
    assert [page for page in pages if page] == [["run_01"], ["run_01"]]


@pytest.mark.parametrize("flow_id", [None, "flow_1"], ids=["workspace", "flow"])
def test_a_list_of_runs_shows_their_present_state(runs: Runs, flow_id: str | None) -> None:
    """The list and the run itself tell the same."""
    runs.create(run())
    ended = runs.finish(KEY, DONE, LATER)
    assert runs.page(ALICE.workspace_id, flow_id).items == (ended,)


def test_a_cursor_that_no_list_of_runs_gave_is_refused(runs: Runs) -> None:
    """A bad cursor is the caller's error."""
    for flow_id in ("flow_1", None):
        with pytest.raises(InvalidRequestError):
            runs.page(ALICE.workspace_id, flow_id, cursor="e30")


def counted(
    runs: Runs,
    grain: Grain,
    hours: int = 24,
    workspace_id: str = ALICE.workspace_id,
    flow_id: str = "flow_1",
) -> list[Counted]:
    """What was counted from today's first hour on."""
    midnight = NOON - timedelta(hours=12)
    end = midnight + timedelta(hours=hours)
    return list(runs.counted(workspace_id, flow_id, grain, midnight, end))


def test_a_run_is_counted_once_however_often_its_end_is_told(runs: Runs) -> None:
    """In its hour and its day, with how it ended, how long it took and what went through."""
    runs.create(run())
    for _ in range(2):
        runs.finish(KEY, DONE, LATER)
    runs.finish(KEY, RunOutcome(status=RunStatus.FAILED), LATER)
    expected = {
        "runs": 1,
        "succeeded": 1,
        "manual": 1,
        "recordsIn": 3,
        "recordsOut": 2,
        "durationTotalMs": 60_000,
    }
    places: dict[Grain, str] = {"hour": "2026-01-31T12", "day": "2026-01-31"}
    for grain, time in places.items():
        (found,) = counted(runs, grain)
        assert (found.grain, found.version_id) == (time, "ver_1")
        assert expected.items() <= found.counters.items()


def test_counters_add_up_by_version_and_by_the_time_of_the_end(runs: Runs) -> None:
    """Failed and retried runs are told apart; each version and hour has counters of its own."""
    for id_, version, ended, outcome in (
        ("run_1", "ver_1", LATER, DONE),
        ("run_2", "ver_1", LATER, RunOutcome(status=RunStatus.FAILED, error=ERROR)),
        ("run_3", "ver_2", LATER, DONE),
        ("run_4", "ver_1", NOON + timedelta(hours=1), DONE),
    ):
        made, _ = runs.create(run(id_, version_id=version))
        if id_ == "run_2":
            runs.plan_retry(made.key, 1, ERROR, NOON)
            runs.begin_attempt(made.key, 2, NOON)
        runs.finish(made.key, outcome, ended)
    hours = {(each.grain, each.version_id): each.counters for each in counted(runs, "hour")}
    assert {place: counters["runs"] for place, counters in hours.items()} == {
        ("2026-01-31T12", "ver_1"): 2,
        ("2026-01-31T12", "ver_2"): 1,
        ("2026-01-31T13", "ver_1"): 1,
    }
    noon = hours["2026-01-31T12", "ver_1"]
    assert (noon["succeeded"], noon["failed"], noon["errors"], noon["retries"]) == (1, 1, 1, 1)
    days = {each.version_id: each.counters["runs"] for each in counted(runs, "day")}
    assert days == {"ver_1": 3, "ver_2": 1}


def test_the_end_of_an_interval_is_not_in_it(runs: Runs) -> None:
    """Intervals that touch count no run twice; other flows and workspaces are not seen."""
    runs.create(run())
    runs.finish(KEY, DONE, LATER)
    assert counted(runs, "hour", 12) == []
    assert len(counted(runs, "hour", 13)) == 1
    assert counted(runs, "day", flow_id="flow_2") == []
    assert counted(runs, "day", workspace_id=MALLORY.workspace_id) == []


def test_a_run_that_changed_since_it_was_seen_ends_as_it_is(runs: Runs) -> None:
    """Nothing that was written meanwhile is lost, and an end that is there stays."""
    runs.create(run())
    seen = runs.get(KEY)
    runs.plan_retry(KEY, 1, ERROR, NOON)
    ended = runs.finish(KEY, DONE, LATER, seen=seen)
    assert (ended.status, [each.error for each in ended.attempts]) == (DONE.status, [ERROR])
    failed = RunOutcome(status=RunStatus.FAILED, error=ERROR)
    assert runs.finish(KEY, failed, LATER, seen=seen) == ended == runs.get(KEY)


def test_a_run_and_the_run_it_repeats_name_each_other(runs: Runs) -> None:
    """However often it is repeated; the list tells it too."""
    runs.create(run())
    ended = runs.finish(KEY, DONE, LATER)
    for id_ in ("run_2", "run_3"):
        runs.create(run(id_, retry_of=KEY.run_id))
    expected = ended.model_copy(update={"retries": ("run_2", "run_3")})
    assert runs.get(KEY) == expected
    assert expected in runs.page(ALICE.workspace_id, "flow_1").items
    assert runs.get(RunKey(ALICE.workspace_id, "run_2")).retry_of == KEY.run_id


def test_the_newest_run_is_the_latest_for_its_request(runs: Runs) -> None:
    """Whichever is noted first; told again, or too late, nothing changes."""
    older, newer = (
        run(id_, unique_request_id="order-7", created_at=at)
        for id_, at in (("run_1", NOON), ("run_2", LATER))
    )
    other = run("run_3", unique_request_id="order-8")
    elsewhere = run("run_4", unique_request_id="order-7", flow_id="flow_2")
    assert runs.latest_for_request(older) is None
    assert [runs.take_place(each) for each in (older, other, elsewhere)] == [None, None, None]
    assert runs.take_place(newer) == "run_1"
    assert [runs.take_place(each) for each in (newer, older)] == [None, None]
    assert runs.latest_for_request(older) == runs.latest_for_request(newer) == "run_2"
    assert runs.take_place(run("run_5")) is None
    assert runs.latest_for_request(run("run_5")) is None


def test_a_repeated_run_hands_its_place_on(runs: Runs) -> None:
    """A run by hand takes the place of the run that it repeats, and of no other."""
    first = run("run_1", unique_request_id="order-7")
    again = run("run_2", unique_request_id="order-7", retry_of="run_1", created_at=LATER)
    late = run("run_3", unique_request_id="order-7", retry_of="run_1", created_at=LATER)
    assert runs.take_place(again) is None
    runs.take_place(first)
    assert runs.take_place(again) == "run_1"
    assert runs.take_place(late) is None
    assert runs.latest_for_request(first) == "run_2"


def test_a_run_that_waits_makes_way(runs: Runs) -> None:
    """Both runs name each other, whatever is written of the newer one; one at work goes on."""
    superseded = RunOutcome(status=RunStatus.SUPERSEDED, error=ERROR)
    for id_ in ("run_1", "run_2", "run_3"):
        runs.create(run(id_))
    newer = RunKey(KEY.workspace_id, "run_3")
    assert runs.supersede(KEY, "run_3", superseded, NOON).status is RunStatus.RUNNING
    assert runs.get(newer).supersedes == ()
    for id_ in ("run_1", "run_2"):
        key = RunKey(KEY.workspace_id, id_)
        runs.plan_retry(key, 1, ERROR, NOON)
        for _ in range(2):
            made_way = runs.supersede(key, "run_3", superseded, LATER)
            assert (made_way.status, made_way.superseded_by) == (RunStatus.SUPERSEDED, "run_3")
        assert runs.get(key) == made_way
        assert runs.begin_attempt(key, 2, LATER).status is RunStatus.SUPERSEDED
        assert id_ in runs.plan_retry(newer, 1, ERROR, NOON).supersedes
    assert runs.finish(newer, DONE, LATER).supersedes == ("run_1", "run_2")
    assert runs.get(newer).supersedes == ("run_1", "run_2")
    hours = runs.counted(KEY.workspace_id, "flow_1", "hour", NOON, LATER + timedelta(hours=1))
    assert sum(each.counters.get("superseded", 0) for each in hours) == 2


def test_an_end_that_is_followed_is_found_until_it_was(runs: Runs) -> None:
    """Over, but with those that are not; what was started is noted once."""
    runs.create(run())
    followed = DONE.model_copy(update={"is_followed": True})
    assert runs.finish(KEY, followed, NOON).is_followed
    assert [found.id for found in runs.unfinished(LATER)] == ["run_1"]
    assert runs.unfinished_of(KEY.workspace_id, "flow_1") == ()
    runs.create(run("run_2", retry_of="run_1"))
    noted = (NextRun(flow_id="flow_2", run_id="run_9"), NextRun(flow_id="flow_3", reason="gone"))
    for what in (Followed(noted), Followed()):
        settled = runs.note_followed(KEY, what)
        assert (settled.next_runs, settled.is_followed) == (noted, False)
        assert runs.get(KEY) == settled
        assert settled.retries == ("run_2",)
    assert [found.id for found in runs.unfinished(LATER)] == ["run_2"]


def test_several_runs_are_read_at_once(runs: Runs) -> None:
    """Those that are there, each once; ids of nothing, or that no key could have, are left out."""
    for number in range(120):
        runs.create(run(f"run_{number}"))
    ids = [f"run_{number}" for number in range(0, 120, 2)]
    found = runs.get_many(ALICE.workspace_id, [*ids, ids[0], "run_none", "x" * 3_000])
    assert sorted(each.id for each in found) == sorted(ids)
    assert runs.get_many("ws_other", ids) == ()

"""Exports of changes read what is new since the last run that succeeded, and never skip any."""

from datetime import timedelta

import pytest
from tests.support.connectors import ScriptedConnectors
from tests.support.samples import ALICE, MALLORY, export_step, filter_step, import_step
from tests.support.time_and_ids import NOON
from tests.support.world import World

from millrace.domain.action import ActionInput, ExportAction, HttpExport, ImportAction
from millrace.domain.base import Json, rfc3339
from millrace.domain.delta import Delta
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    PreconditionRequiredError,
    RevisionMismatchError,
    RuleViolationError,
    StepFailed,
    UnavailableError,
)
from millrace.domain.flow import Flow
from millrace.domain.imports import HttpImport
from millrace.domain.ports import Change
from millrace.domain.run import Run, RunStatus
from millrace.domain.step import Step
from millrace.domain.virtual_environment import VirtualEnvironmentInput
from millrace.storage.memory import MemoryResources
from millrace.usecases.actions import ACTIONS
from millrace.usecases.audit import list_audit
from millrace.usecases.copies import DuplicateRequest, duplicate_flow
from millrace.usecases.delta_marks import read_marks
from millrace.usecases.last_export import LastExportDateTime, MarkChange, set_marks, show_marks
from millrace.usecases.lifecycle import cancel_run, on_execution_end
from millrace.usecases.record_errors import ErrorFilter
from millrace.usecases.retry_errors import ErrorRetryRequest, retry_errors
from millrace.usecases.retry_run import RetryRequest, retry_run
from millrace.usecases.run_flow import RunRequest, run_flow
from millrace.usecases.trials import TrialRequest, try_flow
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS

NOON_TEXT = "2026-01-31T12:00:00.000Z"
EPOCH_TEXT = "1970-01-01T00:00:00.000Z"
ALL = ErrorRetryRequest(filter=ErrorFilter())
MINUTE = timedelta(minutes=1)
WINDOW = "{{ lastExportDateTime }}..{{ currentExportDateTime }}"


@pytest.fixture
def world() -> World:
    """A system with three records, an hour after noon for each test to begin."""
    pages: list[list[dict[str, Json]]] = [[{"id": 1, "at": 5}], [{"id": 2, "at": 15}]]
    world = World(connectors=ScriptedConnectors(pages=pages))
    world.connection()
    return world


def export(id_: str = "read", *, asks: str = WINDOW, delta: Json = None, **changes: object) -> Step:
    """A step that asks for what is new."""
    action = ExportAction(
        type="Export",
        connection_id="con_000001",
        http=HttpExport(path="/orders", query={"q": asks}),
        delta=Delta.model_validate(delta or {}),
    )
    return Step.model_validate({"id": id_, "type": "Export", "action": action, **changes})


def begin(world: World, flow: Flow, **asked: Json) -> Run:
    """A run whose machine has not come to any step yet."""
    return run_flow(world.context, ALICE, flow.id, RunRequest.model_validate(asked))


def read(world: World, run: Run, step_id: str = "read") -> str:
    """What the export asks for."""
    world.step(run, step_id)
    return world.connectors.asked[-1].query["q"]


def whole(world: World, flow: Flow, **asked: Json) -> str:
    """What a run asks for that succeeds, which takes a minute."""
    run = begin(world, flow, **asked)
    found = read(world, run)
    world.clock.forward(minutes=1)
    world.tell(run, "attemptSucceeded")
    assert world.now(run).status is RunStatus.SUCCEEDED
    return found


def shown(world: World, flow: Flow, environment: str | None = None) -> LastExportDateTime:
    """What the flow's owner sees."""
    return show_marks(world.context, ALICE, flow.id, environment).shown


def reset(world: World, flow: Flow, **change: Json) -> LastExportDateTime:
    """What the owner sees after setting it."""
    revision = show_marks(world.context, ALICE, flow.id, None).revision
    given = MarkChange.model_validate(change)
    return set_marks(world.context, ALICE, flow.id, None, given, revision).shown


def test_each_run_reads_from_where_the_one_before_began(world: World) -> None:
    """From when its export began, not when the run ended: what came in between is new."""
    flow = world.deployed(export())
    assert whole(world, flow) == f"{EPOCH_TEXT}..{NOON_TEXT}"
    assert shown(world, flow).last_export_date_time == NOON
    world.clock.forward(hours=1)
    assert whole(world, flow) == f"{NOON_TEXT}..2026-01-31T13:01:00.000Z"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("rfc3339", "2026-01-31T12:00:00.000Z"),
        ("date", "2026-01-31"),
        ("epochSeconds", "1769860800"),
        ("epochMilliseconds", "1769860800000"),
    ],
)
def test_the_times_are_written_as_the_system_takes_them(
    world: World, form: str, expected: str
) -> None:
    """In the export's format."""
    flow = world.deployed(export(asks="{{ currentExportDateTime }}", delta={"format": form}))
    assert whole(world, flow) == expected


def test_any_other_form_is_made_by_an_expression(world: World) -> None:
    """Out of milliseconds."""
    asks = '{{ $fromMillis(currentExportDateTime, "[D01]/[M01]/[Y]") }}'
    flow = world.deployed(export(asks=asks, delta={"format": "epochMilliseconds"}))
    assert whole(world, flow) == "31/01/2026"


def test_a_start_and_a_lag_move_the_beginning(world: World) -> None:
    """The first run begins at the start, later ones so much before where they would."""
    delta = {"start": "2026-01-01T00:00:00Z", "lagMinutes": 10}
    flow = world.deployed(export(asks="{{ lastExportDateTime }}", delta=delta))
    assert whole(world, flow) == "2026-01-01T00:00:00.000Z"
    assert whole(world, flow) == "2026-01-31T11:50:00.000Z"
    assert shown(world, flow).last_export_date_time == NOON + timedelta(minutes=1)


def test_a_run_that_fails_reads_nothing_for_good(world: World) -> None:
    """Neither one that failed, nor one that was cancelled, moves the mark."""
    flow = world.deployed(export(), import_step("write", "con_000001", depends_on=("read",)))
    failed, cancelled = begin(world, flow), begin(world, flow)
    read(world, failed)
    world.connectors.write_trouble = {0: [StepFailed("http401", "no entry")]}
    with pytest.raises(StepFailed):
        world.step(failed, "write")
    world.tell(failed, "attemptFailed")
    read(world, cancelled)
    cancel_run(world.context, cancelled)
    assert shown(world, flow).last_export_date_time is None
    assert read(world, begin(world, flow)).startswith(EPOCH_TEXT)


def test_records_that_failed_do_not_hold_up_the_mark(world: World) -> None:
    """They are kept to be tried again, which does not move it either."""
    flow = world.deployed(export(), import_step("write", "con_000001", depends_on=("read",)))
    world.connectors.refused = [{"id": 1, "at": 5}]
    run = begin(world, flow)
    read(world, run)
    world.step(run, "write")
    world.tell(run, "attemptSucceeded")
    assert world.now(run).status is RunStatus.PARTIALLY_SUCCEEDED
    assert shown(world, flow).last_export_date_time == NOON
    world.clock.forward(hours=1)
    world.connectors.refused = []
    (again,) = retry_errors(world.context, ALICE, flow.id, ALL).runs.values()
    world.step(again, "write")
    world.tell(again, "attemptSucceeded")
    assert shown(world, flow).last_export_date_time == NOON


def test_a_step_that_failed_but_let_the_flow_go_on_holds_up_the_mark(world: World) -> None:
    """What it did not take is kept nowhere."""
    continues = ({"type": "failure", "strategy": "continue"},)
    write = import_step("write", "con_000001", depends_on=("read",), exception_behavior=continues)
    flow = world.deployed(export(), write)
    run = begin(world, flow)
    read(world, run)
    world.connectors.write_trouble = {0: [StepFailed("http401", "no entry")]}
    with pytest.raises(StepFailed):
        world.step(run, "write")
    world.tell(run, "attemptSucceeded")
    assert world.now(run).status is RunStatus.PARTIALLY_SUCCEEDED
    assert shown(world, flow).last_export_date_time is None


def test_a_try_that_takes_over_asks_for_the_same(world: World) -> None:
    """Although another run has moved the mark meanwhile, and time has passed."""
    flow = world.deployed(export())
    run = begin(world, flow)
    world.connectors.read_trouble = {1: [OSError("crash")]}
    with pytest.raises(OSError, match="crash"):
        world.step(run, "read")
    first = world.connectors.asked[-1].query["q"]
    world.clock.forward(hours=1)
    whole(world, flow)
    assert read(world, run) == first == f"{EPOCH_TEXT}..{NOON_TEXT}"


def test_a_run_that_goes_on_from_another_moves_the_mark_to_what_that_read(world: World) -> None:
    """The export is carried over, with its time."""
    flow = world.deployed(export(), import_step("write", "con_000001", depends_on=("read",)))
    run = begin(world, flow)
    read(world, run)
    world.connectors.write_trouble = {0: [StepFailed("http401", "no entry")]}
    with pytest.raises(StepFailed):
        world.step(run, "write")
    world.tell(run, "attemptFailed")
    world.clock.forward(hours=1)
    again = retry_run(
        world.context, ALICE, run.id, RetryRequest.model_validate({"from": "failedStep"})
    )
    for step_id in ("read", "write"):
        world.step(again, step_id)
    world.tell(again, "attemptSucceeded")
    assert shown(world, flow).last_export_date_time == NOON


def test_of_two_runs_at_once_the_later_one_counts(world: World) -> None:
    """Whichever ends last: the mark never moves back."""
    flow = world.deployed(export())
    early = begin(world, flow)
    read(world, early)
    world.clock.forward(minutes=5)
    late = begin(world, flow)
    assert read(world, late).startswith(EPOCH_TEXT)
    world.tell(late, "attemptSucceeded")
    world.tell(early, "attemptSucceeded")
    assert shown(world, flow).last_export_date_time == NOON + timedelta(minutes=5)
    assert shown(world, flow).exports[0].run_id == late.id


class Troubled(MemoryResources):
    """A store whose next writes go wrong."""

    def __init__(self, other: MemoryResources, *trouble: Exception) -> None:
        super().__init__()
        vars(self).update(vars(other))
        self.trouble = list(trouble)

    def commit(self, *changes: Change) -> None:
        """Fail as a store would, or write."""
        if self.trouble:
            raise self.trouble.pop(0)
        super().commit(*changes)


def test_a_mark_is_moved_although_others_write_it_too(world: World) -> None:
    """It is read and written again, unless that never ends: then the machine tells it again."""
    flow = world.deployed(export())
    changed = RevisionMismatchError("changed meanwhile")
    world.resources = Troubled(world.resources, ConflictError("exists"), changed)
    whole(world, flow)
    assert shown(world, flow).last_export_date_time == NOON
    world.resources = Troubled(world.resources, *[changed] * 10)
    run = begin(world, flow)
    read(world, run)
    with pytest.raises(UnavailableError):
        world.tell(run, "attemptSucceeded")
    world.tell(run, "attemptSucceeded")
    assert shown(world, flow).last_export_date_time == NOON + MINUTE


def test_an_end_that_is_told_again_makes_up_for_a_crash(world: World) -> None:
    """The lifecycle function may die between the run's end and the mark."""
    flow = world.deployed(export())
    run = begin(world, flow)
    read(world, run)
    world.resources = Troubled(world.resources, OSError("crash"))
    with pytest.raises(OSError, match="crash"):
        world.tell(run, "attemptSucceeded")
    assert world.now(run).status is RunStatus.SUCCEEDED
    assert shown(world, flow).last_export_date_time is None
    on_execution_end(world.context, run.key, "SUCCEEDED")
    assert shown(world, flow).last_export_date_time == NOON


def test_a_runs_own_dates_count_for_it_alone(world: World) -> None:
    """They take the place of both times, and the mark stays."""
    flow = world.deployed(export())
    whole(world, flow)
    begun = "2025-01-01T00:00:00.000Z"
    asked = {"startDate": begun, "endDate": "2025-02-01T00:00:00Z"}
    assert whole(world, flow, **asked) == f"{begun}..2025-02-01T00:00:00.000Z"
    assert whole(world, flow, startDate=begun) == f"{begun}..{rfc3339(world.clock.now - MINUTE)}"
    assert shown(world, flow).last_export_date_time == NOON


def test_a_run_that_fetches_a_few_ids_leaves_the_rest_to_be_read(world: World) -> None:
    """Its parameters count once; the same flow reads on from where it was."""
    asks = '{{ lastExportDateTime & ($exists(parameters.ids) ? "&" & $join(parameters.ids, ",")) }}'
    flow = world.deployed(export(asks=asks))
    whole(world, flow)
    world.clock.forward(hours=1)
    assert whole(world, flow, parameters={"ids": ["a", "b"]}) == f"{NOON_TEXT}&a,b"
    assert shown(world, flow).last_export_date_time == NOON
    assert whole(world, flow) == NOON_TEXT
    later = NOON + timedelta(hours=1, minutes=2)
    assert shown(world, flow).last_export_date_time == later


def test_parameters_that_the_export_does_not_name_do_not_hold_up_the_mark(world: World) -> None:
    """It reads all that is new, whatever they are for."""
    flow = world.deployed(export())
    whole(world, flow, parameters={"dryRun": True})
    assert shown(world, flow).last_export_date_time == NOON


def test_a_run_of_some_steps_moves_the_mark_only_if_all_take_what_was_read(world: World) -> None:
    """A run of the export alone reads for nobody."""
    write = import_step("write", "con_000001", depends_on=("read",))
    flow = world.deployed(export(), export("other"), write)
    whole(world, flow, stepsToRun=["read"])
    assert shown(world, flow).exports[0].last_export_date_time is None
    run = begin(world, flow, exportIds=["read"])
    for step_id in ("read", "write"):
        world.step(run, step_id)
    world.tell(run, "attemptSucceeded")
    first, other = shown(world, flow).exports
    assert first.last_export_date_time == NOON + MINUTE
    assert other.last_export_date_time is None
    assert shown(world, flow).last_export_date_time is None


def test_a_test_sees_the_mark_and_leaves_it_alone(world: World) -> None:
    """It reads the first page of what a run would read now."""
    flow = world.deployed(export())
    whole(world, flow)
    world.clock.forward(hours=1)
    try_flow(world.context, ALICE, flow.id, TrialRequest())
    assert world.connectors.asked[-1].query["q"].startswith(NOON_TEXT)
    assert shown(world, flow).last_export_date_time == NOON


def test_steps_after_the_export_know_its_times(world: World) -> None:
    """In filters and processes as variables, in the templates of imports as everywhere."""
    http = HttpImport(path="/orders", headers={"X-Since": "{{ $string(lastExportDateTime) }}"})
    action = ImportAction(type="Import", connection_id="con_000001", http=http)
    delta = {"format": "epochSeconds", "start": "1970-01-01T00:00:10Z"}
    flow = world.deployed(
        export(asks="all", delta=delta),
        filter_step("new", "at > $lastExportDateTime", depends_on=("read",)),
        Step(
            id="write",
            type="Import",
            action=action,
            depends_on=("new",),
            filter="at < $currentExportDateTime and at > $lastExportDateTime",
        ),
    )
    run = begin(world, flow)
    for step_id in ("read", "new", "write"):
        world.step(run, step_id)
    assert world.connectors.records_written == [{"id": 2, "at": 15}]


def test_a_record_that_is_tried_again_is_new(world: World) -> None:
    """A filter by time does not drop it in silence although nothing was read in that run."""
    write = import_step(
        "write", "con_000001", depends_on=("read",), filter="at > $lastExportDateTime"
    )
    flow = world.deployed(export(asks="all", delta={"format": "epochSeconds"}), write)
    world.connectors.refused = [{"id": 1, "at": 5}]
    run = begin(world, flow)
    read(world, run)
    world.step(run, "write")
    world.tell(run, "attemptSucceeded")
    world.connectors.refused = []
    (again,) = retry_errors(world.context, ALICE, flow.id, ALL).runs.values()
    assert world.step(again, "write").counts.records_out == 1


def test_an_environment_has_marks_of_its_own(world: World) -> None:
    """Its connections lead to other systems."""
    given = VirtualEnvironmentInput(name="Paris")
    paris = VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, given)
    flow = world.deployed(export())
    whole(world, flow)
    assert whole(world, flow, virtualEnvironmentId=paris.id).startswith(EPOCH_TEXT)
    assert shown(world, flow).last_export_date_time == NOON
    assert shown(world, flow, paris.id).last_export_date_time == NOON + MINUTE


def test_a_copy_starts_afresh(world: World) -> None:
    """It has read nothing yet."""
    flow = world.deployed(export())
    whole(world, flow)
    (copy,) = duplicate_flow(world.context, ALICE, flow.id, DuplicateRequest()).created
    assert show_marks(world.context, ALICE, copy.id, None).shown.last_export_date_time is None


def behind(parent: Flow, export_id: str | None = None) -> Step:
    """An export that is kept behind another flow."""
    return export(keepDeltaBehindFlowId=parent.id, keepDeltaBehindExportId=export_id)


def test_an_export_stays_behind_another_flow(world: World) -> None:
    """It reads no further than that has, and nothing before that has read at all."""
    parent = world.deployed(export())
    child = world.deployed(behind(parent))
    asked = len(world.connectors.asked)
    run = begin(world, child)
    assert world.step(run, "read").counts.records_in == 0
    world.tell(run, "attemptSucceeded")
    assert len(world.connectors.asked) == asked
    assert shown(world, child).last_export_date_time is None
    whole(world, parent)
    world.clock.forward(hours=1)
    assert whole(world, child) == f"{EPOCH_TEXT}..{NOON_TEXT}"
    assert shown(world, child).last_export_date_time == NOON


def test_an_export_stays_behind_one_export_of_another_flow(world: World) -> None:
    """The other exports of that flow may be further behind."""
    parent = world.deployed(export(), export("slow"))
    child, careful = world.deployed(behind(parent, "read")), world.deployed(behind(parent))
    run = begin(world, parent, exportIds=["read"])
    read(world, run)
    world.tell(run, "attemptSucceeded")
    world.clock.forward(hours=1)
    assert whole(world, child) == f"{EPOCH_TEXT}..{NOON_TEXT}"
    assert world.step(begin(world, careful), "read").counts.records_in == 0


def test_what_cannot_be_kept_behind_is_refused(world: World) -> None:
    """A flow that is not there, the flow itself, an export without a flow, one without a delta."""
    flow = world.deployed(export())
    other = world.deployed(export())
    steps = {
        "unknownFlow": export(keepDeltaBehindFlowId="flow_9"),
        "keepDeltaBehindItself": behind(flow),
        "keepDeltaBehindNoFlow": export(keepDeltaBehindExportId="read"),
        "keepDeltaBehindNoDelta": export_step(
            "read", "con_000001", keep_delta_behind_flow_id=other.id
        ),
    }
    for code, step in steps.items():
        with pytest.raises(RuleViolationError) as refused:
            world.change(flow, step)
        assert {each.code for each in refused.value.violations} == {code}


def asking(id_: str, of: str, text: str = WINDOW, **changes: object) -> Step:
    """A step that speaks of how far another one has read, and reads no changes itself."""
    targets: dict[str, Json] = {
        "Export": {"http": {"path": "/orders", "query": {"since/until": text}}},
        "Import": {"http": {"path": "/orders", "body": {"all": ["of", text]}}},
    }
    action = {"type": of, "connectionId": "con_000001", **targets[of]}
    return Step.model_validate({"id": id_, "type": of, "action": action, **changes})


def findings(world: World, *steps: Step) -> list[tuple[str, str, str | None]]:
    """What is wrong with a flow of these steps: codes, places and remedies."""
    with pytest.raises(RuleViolationError) as caught:
        world.flow(*steps)
    return [(found.code, found.pointer, found.remedy) for found in caught.value.violations]


def test_times_that_no_export_has_are_refused_when_the_flow_is_saved(world: World) -> None:
    """A run would fail by them; the place is that of the template."""
    remedy = "Give the export a delta; or put the step after an export that has one."
    steps = (
        asking("read", "Export"),
        asking("write", "Import", "{{ currentExportDateTime }}", dependsOn=["read"]),
        export("beside"),
    )
    assert findings(world, *steps) == [
        ("deltaMissing", "/steps/0/action/http/query/since~1until", remedy),
        ("deltaMissing", "/steps/1/action/http/body/all/1", remedy),
    ]


def test_a_stored_action_that_speaks_of_the_times_is_refused_where_they_are_unknown(
    world: World,
) -> None:
    """By itself it can be stored: behind an export of changes it is right."""
    given = {"name": "Lines", "work": asking("lines", "Export").to_json()["action"]}
    action = ACTIONS.create(world.context, ALICE, ActionInput.model_validate(given))
    step: dict[str, Json] = {"id": "lines", "type": "Export", "referrer": action.id}
    ((code, pointer, _),) = findings(world, Step.model_validate(step))
    assert (code, pointer) == ("deltaMissing", "/steps/0/referrer")
    after = Step.model_validate({**step, "dependsOn": ["read"]})
    run = begin(world, world.deployed(export(), after))
    read(world, run)
    world.step(run, "lines")
    assert world.connectors.asked[-1].query == {"since/until": f"{EPOCH_TEXT}..{NOON_TEXT}"}


@pytest.mark.parametrize(
    "text", ["{{ record.lastExportDateTime }}", "lastExportDateTime", "{{ variables.x }} {{ 1 }}"]
)
def test_what_only_looks_like_these_times_is_taken(world: World, text: str) -> None:
    """A field of a record may have their name, and so may plain text."""
    assert world.flow(asking("read", "Export", text)).steps_count == 1


def test_the_owner_may_have_it_read_again(world: World) -> None:
    """From a time or from the start, and what runs at that moment does not undo it."""
    flow = world.deployed(export())
    whole(world, flow)
    early = begin(world, flow)
    read(world, early)
    world.clock.forward(hours=1)
    day = "2026-01-01T00:00:00.000Z"
    assert reset(world, flow, lastExportDateTime=day).exports[0].set_at == world.clock.now
    world.tell(early, "attemptSucceeded")
    world.clock.forward(hours=1)
    assert whole(world, flow).startswith(day)
    assert shown(world, flow).last_export_date_time == NOON + timedelta(hours=2, minutes=1)
    assert reset(world, flow, lastExportDateTime=None).last_export_date_time is None
    world.clock.forward(hours=1)
    assert whole(world, flow).startswith(EPOCH_TEXT)


def test_setting_it_is_guarded_and_audited(world: World) -> None:
    """By the revision that was read, also before there is anything; nobody else sees it."""
    flow = world.deployed(export())
    given = MarkChange(last_export_date_time=NOON)
    with pytest.raises(PreconditionRequiredError):
        set_marks(world.context, ALICE, flow.id, None, given, None)
    set_marks(world.context, ALICE, flow.id, None, given, 0)
    with pytest.raises(RevisionMismatchError):
        set_marks(world.context, ALICE, flow.id, None, given, 0)
    with pytest.raises(NotFoundError):
        show_marks(world.context, MALLORY, flow.id, None)
    with pytest.raises(RuleViolationError) as refused:
        set_marks(
            world.context,
            ALICE,
            flow.id,
            None,
            MarkChange(last_export_date_time=NOON, step_ids=("nothing",)),
            1,
        )
    assert [each.pointer for each in refused.value.violations] == ["/stepIds/0"]
    told = list_audit(world.context, ALICE, flow.id, 10, None).items[0]
    assert (told.event, told.changes[0].before) == ("lastExportDateTimeSet", None)
    assert read_marks(world.context, ALICE.workspace_id, flow.id, None).keys() == {"read"}

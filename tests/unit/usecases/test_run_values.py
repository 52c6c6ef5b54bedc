"""Expressions of a step have the values of their run: which counts, and who may not see it."""

import pytest
from tests.support.connectors import ScriptedConnectors
from tests.support.samples import ALICE, MALLORY, filter_step, process_step
from tests.support.time_and_ids import NOON
from tests.support.world import World

from millrace.domain.action import ExportAction, HttpExport, ImportAction, ProcessAction
from millrace.domain.base import Json, Record
from millrace.domain.errors import RuleViolationError, StepFailed
from millrace.domain.imports import HttpImport
from millrace.domain.operations import Aggregate, AggregateOperation
from millrace.domain.run import RunOutcome, RunStatus, StepStatus, Trigger
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.domain.variable import VariableInput
from millrace.domain.virtual_environment import Replacements, VirtualEnvironmentInput
from millrace.usecases.pages import read_records
from millrace.usecases.payloads import load_payload
from millrace.usecases.retry_run import RetryRequest, retry_run
from millrace.usecases.run_flow import RunRequest, run_flow
from millrace.usecases.runs import in_environment, start_run
from millrace.usecases.trials import TrialRequest, try_flow
from millrace.usecases.variables import VARIABLES
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS


@pytest.fixture
def world() -> World:
    """A connection, and a system with three records."""
    world = World(connectors=ScriptedConnectors(pages=[[{"n": 1}, {"n": 2}, {"n": 3}]]))
    world.connection()
    return world


def export(**query: str) -> Step:
    """An export that asks for what these templates say."""
    http = HttpExport(path="/orders", query=query)
    action = ExportAction(type="Export", connection_id="con_000001", http=http)
    return Step(id="read", type="Export", action=action)


def variable(world: World, key: str, value: Json, by: Caller = ALICE, **fields: Json) -> None:
    """A variable of a workspace."""
    VARIABLES.create(world.context, by, VariableInput(key=key, value=value, **fields))


def environment(world: World, **variables: Json) -> str:
    """A virtual environment that replaces variables; its id."""
    given = VirtualEnvironmentInput(name="test", replacements=Replacements(variables=variables))
    return VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, given).id


def asked_for(world: World, step: Step, asked: RunRequest) -> dict[str, str]:
    """What the step's export asked for in a run."""
    run = run_flow(world.context, ALICE, world.deployed(step).id, asked)
    assert world.step(run, step.id).status is StepStatus.SUCCEEDED
    return world.connectors.asked[-1].query


def test_the_nearest_value_of_a_variable_counts(world: World) -> None:
    """That of the run's request, else of its virtual environment, else of the workspace."""
    for key in ("a", "b", "c"):
        variable(world, key, "workspace")
    variable(world, "d", "theirs", by=MALLORY)
    step = export(
        q="{{ variables.a }} {{ variables.b }} {{ variables.c }} {{ variables.d ?? 'none' }}"
    )
    assert asked_for(world, step, RunRequest())["q"] == "workspace workspace workspace none"
    asked = RunRequest(
        virtual_environment_id=environment(world, a="environment", b="environment"),
        flow_variables={"b": "run", "d": "new"},
    )
    assert asked_for(world, step, asked)["q"] == "environment run workspace new"


def test_an_environment_counts_as_it_was_when_the_run_started(world: World) -> None:
    """As its connections do."""
    step = export(q="{{ variables.a }}")
    id_ = environment(world, a="before")
    flow = world.deployed(step)
    run = run_flow(world.context, ALICE, flow.id, RunRequest(virtual_environment_id=id_))
    found = VIRTUAL_ENVIRONMENTS.get(world.context, ALICE, id_)
    VIRTUAL_ENVIRONMENTS.delete(world.context, ALICE, id_, found.revision)
    world.step(run, "read")
    assert world.connectors.asked[-1].query == {"q": "before"}


def test_a_delivery_of_an_environment_has_its_variables(world: World) -> None:
    """As a run that is asked for in it has."""
    found = VIRTUAL_ENVIRONMENTS.get(world.context, ALICE, environment(world, a="theirs"))
    flow, trigger = world.deployed(export(q="{{ variables.a }}")), Trigger(source="webhook")
    run, _ = start_run(world.context, flow, trigger, None, how=in_environment(found))
    world.step(run, "read")
    assert world.connectors.asked[-1].query == {"q": "theirs"}


def test_a_run_knows_itself_its_dates_and_its_parameters(world: World) -> None:
    """A date that was not given has no value, so a template says what to do then."""
    step = export(
        since="{{ startDate }}",
        until="{{ endDate ?? 'now' }}",
        skus="{{ $join(parameters.skus, '|') }}",
        run="{{ run.flowId & run.versionNumber & run.triggerSource & run.createdAt }}",
    )
    asked = RunRequest(start_date=NOON, parameters={"skus": ["a", "b"]})
    assert asked_for(world, step, asked) == {
        "since": "2026-01-31T12:00:00.000Z",
        "until": "now",
        "skus": "a|b",
        "run": "flow_0000021manual2026-01-31T12:00:00.000Z",
    }


def test_large_inputs_go_to_the_bucket(world: World) -> None:
    """And come back from there."""
    asked = RunRequest(payload={"kept": True}, parameters={"ids": [f"id{n}" for n in range(5_000)]})
    flow = world.deployed(export(q="{{ $count(parameters.ids) }}"))
    run = run_flow(world.context, ALICE, flow.id, asked)
    assert run.inputs.key in world.blobs.objects
    world.step(run, "read")
    assert world.connectors.asked[-1].query == {"q": "5000"}
    assert load_payload(world.context, run) == {"kept": True}


def test_a_run_that_repeats_another_has_its_inputs(world: World) -> None:
    """Whatever became of the environment that they came from."""
    step = export(q="{{ variables.a & parameters.b & startDate }}")
    asked = RunRequest(flow_variables={"a": "A"}, parameters={"b": "B"}, start_date=NOON)
    first = run_flow(world.context, ALICE, world.deployed(step).id, asked)
    world.runs.finish(first.key, RunOutcome(status=RunStatus.FAILED), NOON)
    again = retry_run(world.context, ALICE, first.id, RetryRequest())
    world.step(again, "read")
    assert world.connectors.asked[-1].query == {"q": "AB2026-01-31T12:00:00.000Z"}
    assert again.start_date == NOON


def test_a_secret_reaches_the_request_and_nothing_else(world: World) -> None:
    """Its value is in no record of the run, whatever fails."""
    variable(world, "token", "s3cret", secret=True)
    step = export(q="{{ variables.token }}")
    assert asked_for(world, step, RunRequest()) == {"q": "s3cret"}
    run = world.start(world.deployed(export(q="{{ $number(variables.token) }}")))
    with pytest.raises(StepFailed, match="failed on a secret variable") as caught:
        world.step(run, "read")
    (record,) = world.runs.steps(run.key, 1)
    assert "s3cret" not in f"{record!r} {caught.value} {world.now(run)!r}"


def test_a_test_of_a_flow_has_the_inputs_and_shows_no_secret(world: World) -> None:
    """What an import would send is shown, but for what came from a secret."""
    variable(world, "token", "s3cret", secret=True)
    http = HttpImport(
        path="/{{ parameters.shop }}",
        headers={"X-A": "{{ variables.token }}", "X-B": "{{ $uppercase(variables.token) }}"},
    )
    action = ImportAction(type="Import", connection_id="con_000001", http=http)
    flow = world.flow(Step(id="write", type="Import", action=action))
    asked = TrialRequest(payload=PAYLOAD, parameters={"shop": "north"})
    trial = try_flow(world.context, ALICE, flow.id, asked)
    assert "https://shop.example/north" in trial.model_dump_json()
    assert "s3cret" not in trial.model_dump_json().lower()


def test_a_secret_that_is_gone_fails_the_step(world: World) -> None:
    """By its name."""
    variable(world, "token", "s3cret", secret=True)
    world.secrets.values.clear()
    run = world.start(world.deployed(export(q="{{ variables.token }}")))
    with pytest.raises(StepFailed, match="'token' has no value stored"):
        world.step(run, "read")


def test_what_has_no_value_fails_the_step_by_its_place(world: World) -> None:
    """Before anything is read."""
    run = world.start(world.deployed(export(since="{{ startDate }}")))
    with pytest.raises(StepFailed, match=r"http/query/since: {{ startDate }} has no value"):
        world.step(run, "read")
    (record,) = world.runs.steps(run.key, 1)
    assert record.error is not None
    assert (record.step_id, record.error.code) == ("read", "templateUndefined")
    assert world.connectors.asked == []


def summing() -> Step:
    """A process that adds a variable up, by another."""
    figure = Aggregate(function="sum", expression="n * $variables.factor")
    operation = AggregateOperation(
        type="aggregate", group_by={"by": "$parameters.name"}, figures={"total": figure}
    )
    action = ProcessAction(type="Process", operations=(operation,))
    return Step(id="sum", type="Process", action=action)


PAYLOAD = [{"n": 1}, {"n": 2}, {"n": 3}]
INPUTS = RunRequest(
    payload=PAYLOAD, flow_variables={"least": 2, "factor": 10}, parameters={"name": "x"}
)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (process_step("map", '{"n": n * $variables.factor}'), [{"n": 10}, {"n": 20}, {"n": 30}]),
        (process_step("map", '{"v": variables.factor}'), [{}, {}, {}]),
        (process_step("map", '($run := 5; {"n": n + $run})'), [{"n": 6}, {"n": 7}, {"n": 8}]),
        (filter_step("keep", "n >= $variables.least"), [{"n": 2}, {"n": 3}]),
        (filter_step("keep", "$exists($variables.other)"), []),
        (summing(), [{"by": "x", "total": 60}]),
        (process_step("map", "$", filter="n > $variables.least"), [{"n": 3}]),
    ],
    ids=["map", "record", "own", "filter", "unknown", "aggregate", "stepFilter"],
)
def test_expressions_over_records_have_the_values_too(
    world: World, step: Step, expected: list[Record]
) -> None:
    """As JSONata's variables, since their document is the record."""
    run = run_flow(world.context, ALICE, world.deployed(step).id, INPUTS)
    record = world.step(run, step.id)
    assert [item for page in read_records(world.blobs, record.output) for item in page] == expected


@pytest.mark.parametrize("step", [process_step("x", "{'t': $variables.token}"), filter_step("x")])
def test_a_secret_gets_into_no_record(world: World, step: Step) -> None:
    """Neither by a process nor by what a filter lets through."""
    variable(world, "token", "s3cret", secret=True)
    step = step.model_copy(update={"filter": "$variables.token = 's3cret'"})
    run = run_flow(world.context, ALICE, world.deployed(step).id, RunRequest(payload=PAYLOAD))
    with pytest.raises(StepFailed, match="'token' is secret") as caught:
        world.step(run, "x")
    assert caught.value.code == "secretInRecords"


def test_an_integer_that_jsonata_would_change_fails_the_step(world: World) -> None:
    """As one in a record fails the record."""
    asked = RunRequest(payload=PAYLOAD, flow_variables={"id": 2**60})
    flow = world.deployed(process_step("map", "{'id': $variables.id}"))
    run = run_flow(world.context, ALICE, flow.id, asked)
    with pytest.raises(StepFailed, match=r"beyond 2\^53"):
        world.step(run, "map")


def test_a_filter_names_a_bounded_number_of_variables(world: World) -> None:
    """As an action does: each takes a read."""
    many = " and ".join(f"$variables.v{number}" for number in range(21))
    with pytest.raises(RuleViolationError) as caught:
        world.flow(process_step("map", "$", filter=many))
    (found,) = caught.value.violations
    assert (found.code, found.pointer) == ("tooManyVariables", "/steps/0/filter")


def test_nothing_is_read_that_no_expression_names(world: World) -> None:
    """Neither variables nor the inputs of the run."""
    flow = world.deployed(export(q="as it is"), process_step("map", "$", depends_on=("read",)))
    run = run_flow(world.context, ALICE, flow.id, RunRequest(parameters={"x": "y" * 20_000}))
    world.blobs.objects.clear()
    world.step(run, "read")
    assert world.step(run, "map").status is StepStatus.SUCCEEDED

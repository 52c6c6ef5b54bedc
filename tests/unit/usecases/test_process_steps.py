"""Steps that hold, remember and call: over many invocations, in environments, in tests of flows."""

from datetime import timedelta

import pytest
from tests.support.samples import ALICE, process_step
from tests.support.world import World

from millrace import limits
from millrace.domain.action import ProcessAction
from millrace.domain.base import Json, Record
from millrace.domain.data_pool import DataPool, DataPoolInput
from millrace.domain.delivery import Delivery
from millrace.domain.errors import RuleViolationError, StepFailed, StepThrottled, StepTransient
from millrace.domain.run import Run, StepRecord
from millrace.domain.step import Step
from millrace.domain.variable import VariableInput
from millrace.domain.virtual_environment import Replacements, VirtualEnvironmentInput
from millrace.domain.webhook import WebhookInput
from millrace.usecases.deliveries import receive_delivery
from millrace.usecases.pages import read_records
from millrace.usecases.payloads import load_payload
from millrace.usecases.plain import DATA_POOLS
from millrace.usecases.retry_run import RetryRequest, retry_run
from millrace.usecases.run_flow import RunRequest, run_flow
from millrace.usecases.trials import StepTrialRequest, try_step
from millrace.usecases.variables import VARIABLES
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS
from millrace.usecases.webhooks import WEBHOOKS

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:millrace-fn-clean"
SORT = {"type": "sort", "by": [{"expression": "n", "order": "desc"}]}
MAP = {"type": "map", "expression": '{"n": n}'}
MAP_BODY = {"type": "map", "expression": "body"}
FUNCTION = {"type": "function", "arn": ARN}
NO_TIME = timedelta(seconds=1)


def step(*operations: Json) -> Step:
    """A step `change` of these operations in their wire form."""
    work = {"type": "Process", "operations": list(operations)}
    return process_step("change", action=ProcessAction.model_validate(work))


def pool(world: World, name: str = "seen") -> DataPool:
    """A new data pool."""
    return DATA_POOLS.create(world.context, ALICE, DataPoolInput(name=name, stable_key=name))


def dedupe(pool_: DataPool) -> Json:
    """A dedupe over a pool."""
    return {"type": "dedupe", "key": "n", "dataPoolId": pool_.id}


def output(world: World, record: StepRecord) -> list[Record]:
    """The records that a step handed on."""
    return [item for page in read_records(world.blobs, record.output) for item in page]


def in_pieces(world: World, run: Run) -> tuple[StepRecord, int]:
    """The step's record, by a worker that has to stop after each batch, and how often it began."""
    for tries in range(1, 100):
        try:
            return world.step(run, "change", NO_TIME), tries
        except StepThrottled:
            continue
    raise AssertionError


def records(count: int) -> list[Record]:
    """Records of numbers in no order, with much text."""
    return [{"n": number * 7_919 % count, "text": f"{number}" * 200} for number in range(count)]


def test_a_sort_over_many_invocations_loses_nothing(world: World) -> None:
    """Each goes on where the one before left off, before the end of the input and after it."""
    given = records(3 * limits.PAGE_RECORDS)
    run = world.start(world.deployed(step(SORT, MAP)), given)
    record, tries = in_pieces(world, run)
    assert tries == 7
    assert output(world, record) == [{"n": number} for number in reversed(range(len(given)))]
    assert (record.counts.records_in, record.counts.records_out) == (len(given), len(given))
    stored = record.model_dump_json()
    assert len(stored) < limits.INLINE_OUTPUT_BYTES


def test_a_large_aggregate_over_many_invocations(world: World) -> None:
    """Its figures are kept beside the step's record, which would not hold them."""
    figures = {"count": {"function": "count"}}
    aggregate = {"type": "aggregate", "groupBy": {"text": "text"}, "figures": figures}
    given = records(2 * limits.PAGE_RECORDS)
    run = world.start(world.deployed(step(aggregate)), given)
    record, tries = in_pieces(world, run)
    assert tries > 3
    assert {each["text"] for each in output(world, record)} == {each["text"] for each in given}
    assert len(record.model_dump_json()) < limits.INLINE_OUTPUT_BYTES


def test_a_function_that_is_throttled_is_called_again_for_the_rest_only(world: World) -> None:
    """What was handed on is not handed on twice, also among sorted records."""
    world.functions.handlers[ARN] = lambda event: {"records": event["records"]}
    given = records(2 * limits.PAGE_RECORDS)
    run = world.start(world.deployed(step(SORT, MAP, FUNCTION)), given)
    with pytest.raises(StepThrottled):
        world.step(run, "change", NO_TIME)
    world.functions.trouble = [StepTransient("functionThrottled", "too often")]
    with pytest.raises(StepTransient):
        world.step(run, "change")
    record = world.step(run, "change")
    assert output(world, record) == [{"n": number} for number in reversed(range(len(given)))]


def test_failures_of_sorted_records_are_found_under_their_places(world: World) -> None:
    """The error's position is that of the record in the step's input."""
    given: list[Record] = [{"n": 1}, {"n": 2, "bad": True}, {"n": 3}]
    check = {"type": "validate", "schema": {"properties": {"bad": {"const": False}}}}
    flow = world.deployed(step(SORT, check))
    record = world.step(world.start(flow, given), "change")
    assert (record.counts.records_out, record.counts.records_failed) == (2, 1)
    (error,) = world.failed_records.page(ALICE.workspace_id, flow.id).items
    assert (error.position, error.code) == (1, "schemaViolation")
    assert error.message == "/bad: false was expected"


def test_a_pool_remembers_across_runs(world: World) -> None:
    """Duplicates count as ignored; a run that repeats another gets what that one had."""
    flow = world.deployed(step(dedupe(pool(world))))
    first = world.start(flow, [{"n": 1}, {"n": 2}, {"n": 1}])
    record = world.step(first, "change")
    assert (record.counts.records_out, record.counts.records_ignored) == (2, 1)
    second = world.step(world.start(flow, [{"n": 2}, {"n": 3}]), "change")
    assert output(world, second) == [{"n": 3}]
    world.tell(first, "attemptSucceeded")
    again = retry_run(world.context, ALICE, first.id, RetryRequest())
    assert output(world, world.step(again, "change")) == [{"n": 1}, {"n": 2}]


def test_a_crash_after_claiming_loses_no_record(world: World) -> None:
    """The function dies behind the dedupe: the keys are the step's own when it goes on."""
    world.functions.handlers[ARN] = lambda event: {"records": event["records"]}
    world.functions.trouble = [StepTransient("functionThrottled", "too often")]
    run = world.start(world.deployed(step(dedupe(pool(world)), FUNCTION)), [{"n": 1}, {"n": 2}])
    with pytest.raises(StepTransient):
        world.step(run, "change")
    assert output(world, world.step(run, "change")) == [{"n": 1}, {"n": 2}]


def test_a_virtual_environment_has_pools_and_variables_of_its_own(world: World) -> None:
    """A run in it is no duplicate of one outside."""
    usual, other = pool(world), pool(world, "other")
    table = VariableInput(key="names", type="json", value={"1": "one"})
    VARIABLES.create(world.context, ALICE, table)
    enrich = {"type": "enrich", "key": "n", "variable": "names", "into": "name"}
    flow = world.deployed(step(dedupe(usual), enrich))
    replaced = Replacements(data_pools={usual.id: other.id}, variables={"names": {"1": "uno"}})
    given = VirtualEnvironmentInput(name="Test", replacements=replaced)
    environment = VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, given)
    outside = world.step(world.start(flow, [{"n": 1}]), "change")
    assert output(world, outside) == [{"n": 1, "name": "one"}]
    asked = RunRequest(payload=[{"n": 1}], virtual_environment_id=environment.id)
    inside = run_flow(world.context, ALICE, flow.id, asked)
    assert output(world, world.step(inside, "change")) == [{"n": 1, "name": "uno"}]


def test_a_delivery_of_a_virtual_environment_uses_its_pools(world: World) -> None:
    """It is no duplicate of what came outside, and leaves nothing behind there."""
    usual, other = pool(world), pool(world, "other")
    flow = world.deployed(step(MAP_BODY, dedupe(usual)))
    replaced = Replacements(data_pools={usual.id: other.id})
    environment = VIRTUAL_ENVIRONMENTS.create(
        world.context, ALICE, VirtualEnvironmentInput(name="Test", replacements=replaced)
    )
    given = WebhookInput(name="Test", virtual_environment_id=environment.id)
    hook = WEBHOOKS.create(world.context, ALICE, given, flow_id=flow.id)
    sent = Delivery("POST", {"content-type": "application/json"}, {}, b'{"n": 1}')
    inside = receive_delivery(world.context, hook.id, sent).run
    assert inside.data_pools == {usual.id: other.id}
    assert world.step(inside, "change").counts.records_out == 1
    outside = world.start(flow, load_payload(world.context, inside))
    assert world.step(outside, "change").counts.records_out == 1


def test_a_secret_variable_gets_into_no_record(world: World) -> None:
    """The step says which one and why."""
    VARIABLES.create(
        world.context,
        ALICE,
        VariableInput(key="names", type="json", value={"1": "hush"}, secret=True),
    )
    enrich = {"type": "enrich", "key": "n", "variable": "names", "into": "name"}
    run = world.start(world.deployed(step(enrich)), [{"n": 1}])
    with pytest.raises(StepFailed) as raised:
        world.step(run, "change")
    assert raised.value.code == "secretInRecords"
    assert "hush" not in raised.value.message


def test_a_test_of_a_step_claims_nothing(world: World) -> None:
    """It sees what the pool remembers, calls the function and tells it that this is a test."""
    world.functions.handlers[ARN] = lambda event: {"records": event["records"]}
    flow = world.deployed(step(dedupe(pool(world)), FUNCTION))
    world.step(world.start(flow, [{"n": 1}]), "change")
    asked = StepTrialRequest(records=({"n": 1}, {"n": 2}, {"n": 2}))
    for _ in range(2):
        (found,) = try_step(world.context, ALICE, flow.id, "change", asked).steps
        assert found.output.data == ({"n": 2},)
    assert [call["isTest"] for call in world.functions.calls] == [False, True, True]


def test_what_is_wrong_with_operations_is_told_when_they_are_stored(world: World) -> None:
    """Expressions, schemas and data pools, each by its place."""
    broken = step(
        {"type": "split", "expression": "("},
        {"type": "group", "by": {"a/b": "("}},
        {"type": "sort", "by": [{"expression": "n"}, {"expression": "("}]},
        {"type": "dedupe", "key": "(", "dataPoolId": "pool_gone"},
        {"type": "remember", "key": "n", "value": "(", "dataPoolId": "pool_gone"},
        {"type": "enrich", "key": "(", "variable": "names", "into": "name"},
        {"type": "validate", "schema": {"properties": {"n": {"type": "nothing"}}}},
    )
    with pytest.raises(RuleViolationError) as raised:
        world.flow(broken)
    prefix = "/steps/0/action/operations"
    assert [(each.code, each.pointer.removeprefix(prefix)) for each in raised.value.violations] == [
        ("badExpression", "/0/expression"),
        ("badExpression", "/1/by/a~1b"),
        ("badExpression", "/2/by/1/expression"),
        ("badExpression", "/3/key"),
        ("badExpression", "/4/value"),
        ("badExpression", "/5/key"),
        ("badSchema", "/6/schema/properties/n/type"),
        ("unknownDataPool", "/3/dataPoolId"),
        ("unknownDataPool", "/4/dataPoolId"),
    ]

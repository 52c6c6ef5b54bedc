"""An export that speaks of the record is asked once for each, and its answer goes on with it."""

import pytest
from tests.support.connectors import ScriptedConnectors
from tests.support.samples import ALICE
from tests.support.world import World

from millrace.domain.action import ExportAction, HttpExport
from millrace.domain.base import Record
from millrace.domain.errors import StepFailed, StepTransient
from millrace.domain.flow_parts import ResponseMapping
from millrace.domain.run import Counts, Run, StepRecord
from millrace.domain.step import Step
from millrace.usecases.pages import read_records
from millrace.usecases.trials import TrialRequest, try_flow

MAPPING = ResponseMapping.model_validate(
    {
        "fields": [
            {"extract": "data[0].price", "generate": "price"},
            {"extract": "errors[0].code", "generate": "why"},
        ]
    }
)
ORDERS: list[Record] = [{"sku": "a"}, {"sku": "b"}, {"sku": "c"}]


@pytest.fixture
def world() -> World:
    """A shop that has a price, and another page."""
    return World(connectors=ScriptedConnectors(pages=[[{"price": 5}], [{"price": 6}]]))


def lookup(**changes: object) -> Step:
    """A step that asks the shop for each order's article."""
    http = HttpExport(path="/prices/{{ record.sku }}")
    action = ExportAction(type="Export", connection_id="con_000001", http=http)
    fields = {"id": "price", "type": "Export", "action": action, "response_mapping": MAPPING}
    return Step.model_validate(fields | changes)


def started(world: World, payload: list[Record] = ORDERS, **changes: object) -> Run:
    """A run over some orders."""
    world.connection()
    return world.start(world.deployed(lookup(**changes)), payload)


def output(world: World, record: StepRecord) -> list[Record]:
    """The records that a step handed on."""
    return [item for page in read_records(world.blobs, record.output) for item in page]


def test_each_record_goes_on_with_what_was_found_for_it(world: World) -> None:
    """One request path a record; what the mapping takes is merged."""
    run = started(world)
    record = world.step(run, "price")
    assert [asked.path for asked in world.connectors.asked] == [
        "/prices/a",
        "/prices/b",
        "/prices/c",
    ]
    assert output(world, record) == [{**order, "price": 5} for order in ORDERS]
    assert record.counts == Counts(records_in=3, records_out=3)


def test_a_record_for_which_nothing_can_be_had_fails_alone(world: World) -> None:
    """A field that is missing, an article that is not there; and it is kept for a retry."""
    world.connectors.read_trouble = {0: [StepFailed("http404", "no such article")]}
    run = started(world, [{"sku": "x"}, {}, {"sku": "c"}])
    record = world.step(run, "price")
    assert output(world, record) == [{"sku": "c", "price": 5}]
    assert record.counts == Counts(records_in=3, records_out=1, records_failed=2)
    entries = world.failed_records.page(ALICE.workspace_id, run.flow_id).items
    assert {entry.code for entry in entries} == {"http404", "templateUndefined"}
    assert all(entry.record is not None for entry in entries)


def test_a_record_may_go_on_without_an_answer(world: World) -> None:
    """It tells why there is none."""
    run = started(world, [{}], proceed_on_failure=True)
    assert output(world, world.step(run, "price")) == [{"why": "templateUndefined"}]


def test_a_refusal_of_all_fails_the_step(world: World) -> None:
    """Wrong credentials are no fault of a record."""
    world.connectors.read_trouble = {0: [StepFailed("http401", "who are you")]}
    with pytest.raises(StepFailed, match="who are you"):
        world.step(started(world), "price")


def test_an_interrupted_lookup_goes_on_at_the_record_that_it_had_reached(world: World) -> None:
    """Nothing is asked again that was answered."""
    run = started(world)
    world.connectors.read_trouble = {1: [StepTransient("http503", "down")]}
    with pytest.raises(StepTransient):
        world.step(run, "price")
    assert output(world, world.step(run, "price")) == [{**order, "price": 5} for order in ORDERS]
    assert [asked.path for asked in world.connectors.asked].count("/prices/a") == 2
    assert [asked.path for asked in world.connectors.asked].count("/prices/c") == 1


def test_a_filter_decides_for_which_records_is_asked(world: World) -> None:
    """The others go on as they are, or not at all."""
    run = started(world, filter="sku = 'b'", on_not_matching="pass")
    record = world.step(run, "price")
    assert output(world, record) == [{"sku": "a"}, {"sku": "b", "price": 5}, {"sku": "c"}]
    assert len(world.connectors.asked) == 1


def test_a_test_of_a_flow_shows_what_a_lookup_finds_and_misses(world: World) -> None:
    """Reading is harmless, so it is done."""
    world.connection()
    flow = world.flow(lookup())
    trial = try_flow(world.context, ALICE, flow.id, TrialRequest(payload=[{"sku": "a"}, {}]))
    (step,) = trial.steps
    assert step.output.data == ({"sku": "a", "price": 5},)
    assert [(each.code, each.record) for each in step.errors.data] == [("templateUndefined", {})]

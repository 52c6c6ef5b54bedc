"""A lookup may ask for a batch of records at once; each goes on with what has its key."""

import pytest
from tests.support.connectors import ScriptedConnectors
from tests.support.samples import ALICE
from tests.support.world import World

from millrace import limits
from millrace.domain.action import ActionInput, ExportAction, HttpExport
from millrace.domain.base import Json, Record
from millrace.domain.batch_lookup import key_at
from millrace.domain.errors import RuleViolationError, StepFailed, StepTransient
from millrace.domain.flow_parts import ResponseMapping
from millrace.domain.run import Counts, Run, StepRecord
from millrace.domain.step import Step
from millrace.usecases.actions import ACTIONS
from millrace.usecases.pages import read_records
from millrace.usecases.retry_errors import ErrorRetryRequest, retry_errors
from millrace.usecases.trials import TrialRequest, try_flow

MAPPING = ResponseMapping.model_validate(
    {
        "fields": [
            {"extract": "data[0].price", "generate": "price"},
            {"extract": "errors[0].code", "generate": "why"},
        ]
    }
)
PRICES: dict[str, int] = {"a": 5, "b": 6, "d": 8}


class Shop:
    """Tells the prices of the articles that it is asked for, last one first, but of "poison"."""

    def __init__(self) -> None:
        self.trouble: list[Exception] = []

    def find(self, asked: HttpExport) -> list[Record]:
        """The articles of a request."""
        skus = asked.query["skus"].split(",")
        if self.trouble:
            raise self.trouble.pop(0)
        if "poison" in skus:
            raise StepFailed("http422", "no such article: poison")
        return [{"sku": sku, "price": PRICES[sku]} for sku in reversed(skus) if sku in PRICES]


@pytest.fixture
def shop() -> Shop:
    """A shop that has some articles."""
    return Shop()


@pytest.fixture
def world(shop: Shop) -> World:
    """The shop is asked."""
    return World(connectors=ScriptedConnectors(finds=shop.find))


def http(**changes: Json) -> HttpExport:
    """A request for the articles of three orders."""
    fields: dict[str, Json] = {
        "path": "/prices",
        "query": {"skus": '{{ $join(keys.$string(), ",") }}'},
        "lookup": {"batchSize": 3, "recordKeyPath": "/article/sku", "keyPath": "/sku"},
    }
    return HttpExport.model_validate(fields | changes)


def lookup(request: HttpExport | None = None, **changes: object) -> Step:
    """A step that asks the shop for the orders' articles."""
    action = ExportAction(type="Export", connection_id="con_000001", http=request or http())
    fields = {"id": "price", "type": "Export", "action": action, "response_mapping": MAPPING}
    return Step.model_validate(fields | changes)


def orders(*skus: Json) -> list[Record]:
    """Orders of these articles."""
    return [{"id": number, "article": {"sku": sku}} for number, sku in enumerate(skus)]


def started(world: World, payload: list[Record], step: Step | None = None) -> Run:
    """A run over some orders."""
    world.connection()
    return world.start(world.deployed(step or lookup()), payload)


def output(world: World, record: StepRecord) -> list[Record]:
    """The records that a step handed on."""
    return [item for page in read_records(world.blobs, record.output) for item in page]


def asked(world: World) -> list[str]:
    """The articles that the shop was asked for, in each request."""
    return [request.query["skus"] for request in world.connectors.asked]


def test_a_batch_is_asked_for_at_once_and_each_record_gets_its_own(world: World) -> None:
    """Whatever the order of the answer; a key once, and one that is not there is no failure."""
    run = started(world, orders("a", "b", "a", "c", "d"))
    record = world.step(run, "price")
    assert asked(world) == ["a,b", "c,d"]
    assert [each.get("price") for each in output(world, record)] == [5, 6, 5, None, 8]
    assert [each["id"] for each in output(world, record)] == [0, 1, 2, 3, 4]
    assert record.counts == Counts(records_in=5, records_out=5)


def test_all_that_has_the_key_is_the_records(world: World) -> None:
    """As an array, which the mapping may take; a number and its text are the same key."""
    world.connectors.finds = lambda _: [{"sku": 7, "lot": 1}, {"sku": "8"}, {"sku": "7", "lot": 2}]
    fields = [{"extract": "data[*].lot", "generate": "lot"}]
    mapping = ResponseMapping.model_validate({"lists": [{"generate": "lots", "fields": fields}]})
    run = started(world, orders("7", 8), lookup(response_mapping=mapping))
    first, second = output(world, world.step(run, "price"))
    assert first["lots"] == [{"lot": 1}, {"lot": 2}]
    assert "lots" not in second
    assert asked(world) == ["7,8"]


def test_a_body_may_have_the_keys_and_the_records(world: World) -> None:
    """As arrays, also of a single one."""
    world.connectors.finds = lambda _: []
    body = {"skus": "{{ keys }}", "ids": "{{ [records.id] }}"}
    request = http(query={}, method="POST", body=body)
    world.step(started(world, orders("a"), lookup(request)), "price")
    assert [each.body for each in world.connectors.asked] == [{"skus": ["a"], "ids": [0]}]


def test_a_record_without_a_key_fails_alone(world: World) -> None:
    """Nothing is asked for it, and it is kept to be mended."""
    nameless: list[Record] = [{"id": 9}, *orders({"no": "key"}, None, ["a"])]
    run = started(world, [*orders("a"), *nameless])
    record = world.step(run, "price")
    assert asked(world) == ["a"]
    assert [each["price"] for each in output(world, record)] == [5]
    assert record.counts == Counts(records_in=5, records_out=1, records_failed=4)
    entries = world.failed_records.page(ALICE.workspace_id, run.flow_id).items
    assert {entry.code for entry in entries} == {"keyMissing"}


def test_one_record_that_is_refused_does_not_spoil_its_batch(world: World) -> None:
    """The batch is asked for in halves, down to the record that is the reason."""
    size = {"batchSize": 1_000, "recordKeyPath": "/article/sku", "keyPath": "/sku"}
    skus = ["a"] * 1_000
    skus[700] = "poison"
    run = started(world, orders(*skus), lookup(http(lookup=size)))
    record = world.step(run, "price")
    assert record.counts == Counts(records_in=1_000, records_out=999, records_failed=1)
    assert len(asked(world)) < 25
    (entry,) = world.failed_records.page(ALICE.workspace_id, run.flow_id).items
    assert (entry.code, entry.position) == ("http422", 700)
    assert all(each["price"] == 5 for each in output(world, record))


def test_a_record_that_failed_may_go_on_and_be_tried_again(world: World) -> None:
    """It tells why there is nothing, and a retry asks for it alone."""
    step = lookup(proceed_on_failure=True)
    run = started(world, orders("a", "poison"), step)
    first, second = output(world, world.step(run, "price"))
    assert (first["price"], second["why"]) == (5, "http422")
    world.tell(run, "attemptSucceeded")
    (entry,) = world.failed_records.page(ALICE.workspace_id, run.flow_id).items
    world.connectors.finds = lambda _: [{"sku": "poison", "price": 1}]
    request = ErrorRetryRequest(error_ids=(entry.id,))
    (again,) = retry_errors(world.context, ALICE, run.flow_id, request).runs.values()
    assert output(world, world.step(again, "price")) == [{**orders("", "poison")[1], "price": 1}]


def test_a_filter_decides_for_which_records_is_asked(world: World) -> None:
    """The others go on in their places, and take none in a batch."""
    step = lookup(filter="id != 1 and id != 2", on_not_matching="pass")
    run = started(world, orders("a", "b", "c", "d", "b"), step)
    record = world.step(run, "price")
    assert asked(world) == ["a,d,b"]
    assert [each.get("price") for each in output(world, record)] == [5, None, None, 8, 6]


def test_an_interrupted_lookup_goes_on_at_the_batch_that_it_had_reached(
    world: World, shop: Shop
) -> None:
    """Also within one that is asked for in halves."""
    run = started(world, orders("a", "b", "d", "a", "poison"))
    shop.trouble = [StepFailed("http400", "too many"), StepTransient("http503", "down")]
    with pytest.raises(StepTransient):
        world.step(run, "price")
    shop.trouble = [StepFailed("http400", "too many")]
    assert world.step(run, "price").counts == Counts(records_in=5, records_out=4, records_failed=1)
    assert [each["price"] for each in output(world, world.step(run, "price"))] == [5, 6, 8, 5]


def test_a_refusal_of_all_fails_the_step(world: World, shop: Shop) -> None:
    """Wrong credentials are no fault of a record: nothing is asked again."""
    shop.trouble = [StepFailed("http401", "who are you")]
    with pytest.raises(StepFailed, match="who are you"):
        world.step(started(world, orders("a", "b")), "price")
    assert asked(world) == ["a,b"]


def test_an_answer_without_keys_fails_the_step(world: World) -> None:
    """Else a slip in keyPath would look as if nothing had been found."""
    world.connectors.finds = lambda _: [{"number": "a"}]
    with pytest.raises(StepFailed, match="keyPath '/sku'") as failed:
        world.step(started(world, orders("a", "b")), "price")
    assert failed.value.code == "foundWithoutKey"


def test_too_much_for_one_record_or_for_all_is_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fails alone; a batch for which too much is found is asked for in halves."""
    monkeypatch.setattr(limits, "LOOKUP_RECORDS", limits.PAGE_RECORDS + 5)
    many: list[Record] = [{"sku": "a", "price": 1}] * (limits.PAGE_RECORDS + 1)
    few: list[Record] = [{"sku": "b", "price": 2}] * 10

    def finds(request: HttpExport) -> list[Record]:
        skus = request.query["skus"].split(",")
        return [*(many if "a" in skus else ()), *(few if "b" in skus else ())]

    world.connectors.finds = finds
    run = started(world, orders("a", "b"))
    record = world.step(run, "price")
    assert asked(world) == ["a,b", "a", "b"]
    assert [each["price"] for each in output(world, record)] == [2]
    (entry,) = world.failed_records.page(ALICE.workspace_id, run.flow_id).items
    assert (entry.code, entry.position) == ("tooLarge", 0)


def test_a_test_of_a_flow_shows_what_a_batch_finds_and_misses(world: World) -> None:
    """Each record that fails once, however often its batch was halved."""
    world.connection()
    flow = world.flow(lookup())
    payload = orders("a", None, "poison")
    (step,) = try_flow(world.context, ALICE, flow.id, TrialRequest(payload=payload)).steps
    assert [each["price"] for each in step.output.data] == [5]
    told = {(each.code, (each.record or {})["id"]) for each in step.errors.data}
    assert (told, step.errors.count) == ({("keyMissing", 1), ("http422", 2)}, 2)


@pytest.mark.parametrize(
    ("request_", "delta", "code", "pointer"),
    [
        ({"path": "/{{ record.id }}"}, None, "recordUnknown", "/http/path"),
        ({"lookup": None}, None, "recordsUnknown", "/http/query/skus"),
        ({"query": {"all": "{{ parameters.keys }}"}}, None, "lookupOfNothing", "/http/lookup"),
        ({}, {}, "deltaOfLookup", "/delta"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_that_does_not_fit_its_lookup_is_refused(
    world: World, request_: Json, delta: Json, code: str, pointer: str
) -> None:
    """When the action is saved, with the place."""
    given = http(**request_).model_dump(by_alias=True, exclude_none=True)
    work = {"type": "Export", "connectionId": world.connection().id, "http": given, "delta": delta}
    action = ActionInput.model_validate({"name": "Prices", "work": work})
    with pytest.raises(RuleViolationError) as caught:
        ACTIONS.create(world.context, ALICE, action)
    assert [(each.code, each.pointer) for each in caught.value.violations] == [
        (code, f"/work{pointer}")
    ]


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [("/a~1b/1", "x"), ("/a~1b/01x", None), ("/n", 2**60), ("/no/way", None), ("/a~1b", None)],
)
def test_a_key_is_found_by_a_pointer(pointer: str, expected: Json) -> None:
    """A text or a number, exactly as it stands there."""
    assert key_at({"a/b": ["w", "x"], "n": 2**60}, pointer) == expected

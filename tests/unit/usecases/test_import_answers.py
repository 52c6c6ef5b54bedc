"""What an import's system says of a record goes on with the record."""

import pytest
from tests.support.connectors import ScriptedConnectors
from tests.support.samples import import_step
from tests.support.world import World

from millrace.domain.base import Json, Record
from millrace.domain.flow_parts import ResponseMapping
from millrace.domain.records import Answer, RecordFailure, Written
from millrace.domain.run import StepRecord
from millrace.usecases.import_answers import answered
from millrace.usecases.pages import read_records

MAPPING = ResponseMapping.model_validate(
    {
        "fields": [
            {"extract": "_json.number", "generate": "shop.number"},
            {"extract": "id", "generate": "shop.id"},
            {"extract": "errors[0].code", "generate": "why"},
            {"extract": "ignored", "generate": "ignored"},
        ]
    }
)


def answer(record: Record) -> Json:
    """What the shop says."""
    return {"number": f"N-{record['id']}"}


def started(world: World, batch_size: int | None = None, **changes: object) -> StepRecord:
    """The result of an import of three records, of which the second is refused."""
    world.connectors = ScriptedConnectors(answers=answer, refused=[{"id": 2}])
    world.connection()
    step = import_step("write", "con_000001", batch_size, response_mapping=MAPPING, **changes)
    run = world.start(world.deployed(step), [{"id": 1}, {"id": 2}, {"id": 3}])
    return world.step(run, "write")


def output(world: World, record: StepRecord) -> list[Record]:
    """The records that a step handed on."""
    return [item for page in read_records(world.blobs, record.output) for item in page]


@pytest.mark.parametrize("batch_size", [None, 2])
def test_the_answer_is_merged_into_the_record_that_goes_on(batch_size: int | None) -> None:
    """As the mapping says; the refused one goes no further."""
    world = World()
    record = started(world, batch_size=batch_size)
    assert output(world, record) == [
        {"id": 1, "shop": {"number": "N-1", "id": 1}, "ignored": False},
        {"id": 3, "shop": {"number": "N-3", "id": 3}, "ignored": False},
    ]


def test_a_record_that_proceeds_on_failure_tells_why_it_failed() -> None:
    """Its errors are in the answer."""
    world = World()
    record = started(world, proceed_on_failure=True)
    assert output(world, record)[1] == {
        "id": 2,
        "shop": {"number": "N-2", "id": 2},
        "why": "http422",
        "ignored": False,
    }


def test_a_record_that_could_not_be_sent_tells_so() -> None:
    """There is no answer to it, and yet a reason; one that was ignored says that."""
    told = Written(
        [RecordFailure(0, "notJson", "it holds NaN")],
        frozenset({1}),
        {1: Answer(409, lambda: {"number": 7}, "o-7")},
    )
    assert answered(MAPPING, [{"n": 1}, {"n": 2}, {"n": 3}], told) == {
        0: {"n": 1, "why": "notJson", "ignored": False},
        1: {"n": 2, "shop": {"number": 7, "id": "o-7"}, "ignored": True},
    }


def test_what_is_retried_is_the_record_as_it_came() -> None:
    """The answer is no part of what was sent."""
    world = World()
    started(world, proceed_on_failure=True)
    (entry,) = world.failed_records.page("ws_alice", "flow_000002").items
    assert entry.record is not None
    assert entry.record.inline == '{"id":2}'

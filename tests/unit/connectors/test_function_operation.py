"""The operation that hands records to a function of the user's own."""

import json
from collections.abc import Callable

import pytest
from tests.support.functions import ScriptedFunctions
from tests.support.pipelines import FedPipeline, fed_pipeline
from tests.support.samples import surroundings

from millrace import limits
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed, StepTransient
from millrace.domain.records import Batch

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:millrace-fn-clean"


def calling(
    handler: Callable[[Json], Json], functions: ScriptedFunctions | None = None, **fields: Json
) -> FedPipeline:
    """A process that calls a function."""
    functions = functions or ScriptedFunctions()
    functions.handlers[ARN] = handler
    operation = {"type": "function", "arn": ARN, **fields}
    return fed_pipeline(operation, here=surroundings(functions=functions))


def test_a_function_answers_what_takes_the_place_of_each_record() -> None:
    """An object, several, or null for a record that goes no further."""
    flow = calling(lambda event: {"records": [event["records"][0], [{"a": 1}, {"a": 2}], None, []]})
    assert flow.feed([{"n": place} for place in range(4)]) == Batch(
        [{"n": 0}, {"a": 1}, {"a": 2}], 2, []
    )


def test_a_function_is_told_where_it_is() -> None:
    """Run, step, a key that is the same when it is called again, and whether it is a test."""
    functions = ScriptedFunctions()
    flow = calling(lambda event: {"records": event["records"]}, functions)
    flow.feed([{"n": 1}])
    calling(lambda event: {"records": event["records"]}, functions).feed([{"n": 1}])
    first, second = functions.calls
    assert first == second
    key = first.pop("idempotencyKey")
    assert first == {"run": "run_1", "step": "change", "isTest": False, "records": [{"n": 1}]}
    flow.feed([{"n": 1}])
    assert functions.calls[-1]["idempotencyKey"] != key


def test_errors_of_single_records() -> None:
    """They fail with the function's own code; without records the others go on as they were."""
    faults = [{"index": 1, "code": "badVat", "message": "no such number"}]
    flow = calling(lambda _: {"errors": faults})
    batch = flow.feed([{"n": 0}, {"n": 1}, {"n": 2}])
    assert batch.records == [{"n": 0}, {"n": 2}]
    assert [(each.index, each.code, each.message) for each in batch.failures] == [
        (1, "badVat", "no such number")
    ]


def test_calls_are_bounded_by_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is cut where the next record would be too much; errors still name their records."""
    functions = ScriptedFunctions()

    def handler(event: Json) -> Json:
        place = next(
            (place for place, record in enumerate(event["records"]) if record["n"] == 5), None
        )
        faults = [] if place is None else [{"index": place, "code": "bad", "message": ""}]
        return {"errors": faults}

    flow = calling(handler, functions, batchSize=3)
    batch = flow.feed([{"n": number} for number in range(7)])
    assert [len(call["records"]) for call in functions.calls] == [3, 3, 1]
    assert [each.index for each in batch.failures] == [5]
    functions.calls.clear()
    monkeypatch.setattr(limits, "FUNCTION_REQUEST_BYTES", 40)
    flow.feed([{"n": 1, "text": "x" * size} for size in (1, 1, 50, 1)])
    assert [len(call["records"]) for call in functions.calls] == [2, 1, 1]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        {"records": [{}]},
        {"records": {}},
        {"record": [{}, {}]},
        {"errors": [{"index": 2, "code": "bad", "message": ""}]},
        {"errors": [{"index": 0}]},
    ],
)
def test_an_answer_that_cannot_be_understood_fails_the_step(answer: Json) -> None:
    """The message says what was expected."""
    with pytest.raises(StepFailed) as raised:
        calling(lambda _: answer).feed([{"n": 1}, {"n": 2}])
    assert raised.value.code == "badFunctionAnswer"


def test_an_element_that_is_no_record_fails_alone() -> None:
    """The record that it stands for fails, the others go on."""
    batch = calling(lambda _: {"records": [7, {"n": 2}, [{}, "x"]]}).feed([{}, {}, {}])
    assert batch.records == [{"n": 2}]
    assert [(each.index, each.code) for each in batch.failures] == [
        (0, "notAnObject"),
        (2, "notAnObject"),
    ]


def test_records_reach_the_function_and_come_back_exactly() -> None:
    """Large integers and half surrogate pairs, too."""
    records: list[Record] = [{"n": 2**70, "text": "\ud800"}, {"text": "ü\u2028"}]
    flow = calling(lambda event: {"records": event["records"]})
    assert flow.feed(records).records == json.loads(json.dumps(records))


def test_trouble_passes_through() -> None:
    """The machine tries again what may pass."""
    functions = ScriptedFunctions(trouble=[StepTransient("functionThrottled", "too often")])
    flow = calling(lambda event: {"records": event["records"]}, functions)
    with pytest.raises(StepTransient):
        flow.feed([{}])
    assert flow.feed([{}]).records == [{}]

"""The validator: a corpus of definitions that Step Functions refuses or trips over."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.compiler import Definition, FlowRetry, Step, compile_flow, validate_asl

INVOKE = "arn:aws:states:::lambda:invoke"


def task(**more: object) -> dict[str, Any]:
    """A Task that is right as it stands."""
    return {
        "Type": "Task",
        "Resource": INVOKE,
        "Parameters": {"FunctionName": "f", "Payload": {"id.$": "$.id"}},
        "End": True,
        **more,
    }


def machine(**states: object) -> dict[str, Any]:
    """A machine of these states that starts at the first."""
    return {"StartAt": next(iter(states)), "States": states}


def retry(*retriers: object) -> dict[str, Any]:
    """A machine of one Task with these retriers."""
    return machine(A=task(Retry=list(retriers)))


def catch(*catchers: object) -> dict[str, Any]:
    """A machine of one Task with these catchers, and a state B to go to."""
    return machine(A=task(Catch=list(catchers)), B={"Type": "Succeed"})


def choose(rule: object) -> dict[str, Any]:
    """A machine that chooses by this rule."""
    return machine(A={"Type": "Choice", "Choices": [rule], "Default": "B"}, B={"Type": "Succeed"})


def without(state: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A state without some of its fields."""
    return {key: value for key, value in state.items() if key not in keys}


def branch(name: str, **more: object) -> dict[str, Any]:
    """A branch of one state."""
    return {"StartAt": name, "States": {name: {"Type": "Succeed", **more}}}


ALL = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}
IS_A = {"Variable": "$.a", "IsPresent": True}
BROKEN: dict[str, tuple[Any, str, str]] = {
    "not an object": ([], "wrongType", ""),
    "no states": ({"StartAt": "A", "States": {}}, "missing", "/States"),
    "no start": ({"States": {"A": task()}}, "unknownState", "/StartAt"),
    "start elsewhere": ({"StartAt": "B", "States": {"A": task()}}, "unknownState", "/StartAt"),
    "unknown top field": ({**machine(A=task()), "Foo": 1}, "unknownField", "/Foo"),
    "JSONata": (
        {**machine(A=task()), "QueryLanguage": "JSONata"},
        "unknownValue",
        "/QueryLanguage",
    ),
    "version": ({**machine(A=task()), "Version": "2.0"}, "unknownValue", "/Version"),
    "machine time-out": (
        {**machine(A=task()), "TimeoutSeconds": 0},
        "outOfRange",
        "/TimeoutSeconds",
    ),
    "unknown type": (machine(A={"Type": "Job"}), "unknownValue", "/States/A/Type"),
    "no type": (machine(A={"End": True}), "unknownValue", "/States/A/Type"),
    "state no object": (machine(A=3), "wrongType", "/States/A"),
    "unknown field": (machine(A=task(Retries=[])), "unknownField", "/States/A/Retries"),
    "long name": (machine(**{"n" * 81: task()}), "badStateName", "/States/" + "n" * 81),
    "blank name": (machine(**{" ": task()}), "badStateName", "/States/ "),
    "next and end": (machine(A=task(Next="A")), "nextOrEnd", "/States/A"),
    "neither": (machine(A=without(task(), "End")), "nextOrEnd", "/States/A"),
    "end false": (machine(A=task(End=False)), "nextOrEnd", "/States/A/End"),
    "next nowhere": (
        machine(A=task(Next="B") | {"End": True}),
        "unknownState",
        "/States/A/Next",
    ),
    "unreachable": (machine(A=task(), B=task()), "unreachable", "/States/B"),
    "endless": (
        machine(A={"Type": "Pass", "Next": "B"}, B={"Type": "Pass", "Next": "A"}),
        "endless",
        "/States/A",
    ),
    "next on succeed": (
        machine(A={"Type": "Succeed", "End": True}),
        "unknownField",
        "/States/A/End",
    ),
    "no resource": (machine(A=without(task(), "Resource")), "missing", "/States/A/Resource"),
    "unknown action": (
        machine(A=task(Resource="arn:aws:states:::aws-sdk:s3:eatBucket")),
        "unknownResource",
        "/States/A/Resource",
    ),
    "no function": (
        machine(A=task(Parameters={"Payload": {}})),
        "missing",
        "/States/A/Parameters/FunctionName",
    ),
    "no parameters": (
        machine(A=without(task(), "Parameters")),
        "missing",
        "/States/A/Parameters/FunctionName",
    ),
    "empty function": (
        machine(A=task(Parameters={"FunctionName": ""})),
        "wrongType",
        "/States/A/Parameters/FunctionName",
    ),
    "token not passed": (
        machine(A=task(Resource=INVOKE + ".waitForTaskToken")),
        "tokenNotPassed",
        "/States/A/Parameters",
    ),
    "invoke sync": (
        machine(A=task(Resource=INVOKE + ".sync")),
        "unknownResource",
        "/States/A/Resource",
    ),
    "time-out zero": (
        machine(A=task(TimeoutSeconds=0)),
        "outOfRange",
        "/States/A/TimeoutSeconds",
    ),
    "time-out text": (
        machine(A=task(TimeoutSeconds="9")),
        "outOfRange",
        "/States/A/TimeoutSeconds",
    ),
    "two time-outs": (
        machine(A=task(TimeoutSeconds=9, TimeoutSecondsPath="$.t")),
        "notExactlyOne",
        "/States/A",
    ),
    "slow heartbeat": (
        machine(A=task(TimeoutSeconds=9, HeartbeatSeconds=9)),
        "outOfRange",
        "/States/A/HeartbeatSeconds",
    ),
    "bad path": (machine(A=task(InputPath="id")), "badPath", "/States/A/InputPath"),
    "bad result path": (machine(A=task(ResultPath="$.a[*]")), "badPath", "/States/A/ResultPath"),
    "payload path": (
        machine(A=task(Parameters={"FunctionName": "f", "Payload": {"id.$": "id"}})),
        "badPath",
        "/States/A/Parameters/Payload/id.$",
    ),
    "payload number": (
        machine(A=task(Parameters={"FunctionName": "f", "n.$": 3})),
        "badPath",
        "/States/A/Parameters/n.$",
    ),
    "unknown intrinsic": (
        machine(A=task(Parameters={"FunctionName": "f", "n.$": "States.Now()"})),
        "badIntrinsic",
        "/States/A/Parameters/n.$",
    ),
    "open intrinsic": (
        machine(A=task(Parameters={"FunctionName": "f", "n.$": "States.UUID("})),
        "badIntrinsic",
        "/States/A/Parameters/n.$",
    ),
    "key twice": (
        machine(A=task(Parameters={"FunctionName": "f", "n": 1, "n.$": "$.n"})),
        "duplicateKey",
        "/States/A/Parameters/n.$",
    ),
    "retry no list": (machine(A=task(Retry={})), "wrongType", "/States/A/Retry"),
    "retry empty": (retry(), "wrongType", "/States/A/Retry"),
    "no errors": (retry({"MaxAttempts": 1}), "wrongType", "/States/A/Retry/0/ErrorEquals"),
    "error number": (retry({"ErrorEquals": [1]}), "wrongType", "/States/A/Retry/0/ErrorEquals"),
    "all not last": (
        retry(ALL, {"ErrorEquals": ["X"]}),
        "statesAllNotLast",
        "/States/A/Retry/0/ErrorEquals",
    ),
    "all not alone": (
        retry({"ErrorEquals": ["States.ALL", "X"]}),
        "statesAllNotLast",
        "/States/A/Retry/0/ErrorEquals",
    ),
    "shadowed": (
        retry({"ErrorEquals": ["X"]}, {"ErrorEquals": ["X"]}),
        "shadowedError",
        "/States/A/Retry/1/ErrorEquals",
    ),
    "invented States error": (
        retry({"ErrorEquals": ["States.Oops"]}),
        "unknownError",
        "/States/A/Retry/0/ErrorEquals",
    ),
    "retry Runtime": (
        retry({"ErrorEquals": ["States.Runtime"]}),
        "withoutEffect",
        "/States/A/Retry/0/ErrorEquals",
    ),
    "interval zero": (
        retry({**ALL, "IntervalSeconds": 0}),
        "outOfRange",
        "/States/A/Retry/0/IntervalSeconds",
    ),
    "attempts negative": (
        retry({**ALL, "MaxAttempts": -1}),
        "outOfRange",
        "/States/A/Retry/0/MaxAttempts",
    ),
    "backoff below one": (
        retry({**ALL, "BackoffRate": 0.5}),
        "outOfRange",
        "/States/A/Retry/0/BackoffRate",
    ),
    "max delay too short": (
        retry({**ALL, "IntervalSeconds": 5, "MaxDelaySeconds": 5}),
        "maxDelayTooShort",
        "/States/A/Retry/0/MaxDelaySeconds",
    ),
    "max delay too long": (
        retry({**ALL, "MaxDelaySeconds": 31_622_401}),
        "outOfRange",
        "/States/A/Retry/0/MaxDelaySeconds",
    ),
    "jitter": (
        retry({**ALL, "JitterStrategy": "HALF"}),
        "unknownValue",
        "/States/A/Retry/0/JitterStrategy",
    ),
    "catch without next": (
        machine(A=task(Catch=[{"ErrorEquals": ["X"]}])),
        "missing",
        "/States/A/Catch/0/Next",
    ),
    "catch nowhere": (
        machine(A=task(Catch=[{"ErrorEquals": ["X"], "Next": "Z"}])),
        "unknownState",
        "/States/A/Catch/0/Next",
    ),
    "catch all first": (
        catch({"ErrorEquals": ["States.ALL"], "Next": "B"}, {"ErrorEquals": ["X"], "Next": "B"}),
        "statesAllNotLast",
        "/States/A/Catch/0/ErrorEquals",
    ),
    "catch result path": (
        catch({"ErrorEquals": ["X"], "Next": "B", "ResultPath": "error"}),
        "badPath",
        "/States/A/Catch/0/ResultPath",
    ),
    "no choices": (
        machine(A={"Type": "Choice", "Choices": [], "Default": "B"}, B={"Type": "Fail"}),
        "missing",
        "/States/A/Choices",
    ),
    "choice without next": (choose(IS_A), "missing", "/States/A/Choices/0/Next"),
    "choice nowhere": (choose({**IS_A, "Next": "Z"}), "unknownState", "/States/A/Choices/0/Next"),
    "default nowhere": (
        machine(
            A={"Type": "Choice", "Choices": [{**IS_A, "Next": "B"}], "Default": "Z"},
            B={"Type": "Fail"},
        ),
        "unknownState",
        "/States/A/Default",
    ),
    "two comparisons": (
        choose({**IS_A, "IsNull": True, "Next": "B"}),
        "badChoiceRule",
        "/States/A/Choices/0",
    ),
    "unknown comparison": (
        choose({"Variable": "$.a", "Equals": 1, "Next": "B"}),
        "badChoiceRule",
        "/States/A/Choices/0/Equals",
    ),
    "operand type": (
        choose({"Variable": "$.a", "NumericEquals": "1", "Next": "B"}),
        "wrongType",
        "/States/A/Choices/0/NumericEquals",
    ),
    "nested next": (
        choose({"And": [{**IS_A, "Next": "B"}], "Next": "B"}),
        "unknownField",
        "/States/A/Choices/0/And/0/Next",
    ),
    "choice end": (
        machine(
            A={"Type": "Choice", "Choices": [{**IS_A, "Next": "B"}], "End": True},
            B={"Type": "Fail"},
        ),
        "unknownField",
        "/States/A/End",
    ),
    "wait for nothing": (machine(A={"Type": "Wait", "End": True}), "notExactlyOne", "/States/A"),
    "wait twice": (
        machine(A={"Type": "Wait", "Seconds": 1, "SecondsPath": "$.s", "End": True}),
        "notExactlyOne",
        "/States/A",
    ),
    "wait until": (
        machine(A={"Type": "Wait", "Timestamp": "tomorrow", "End": True}),
        "badTimestamp",
        "/States/A/Timestamp",
    ),
    "fail twice": (
        machine(A={"Type": "Fail", "Error": "E", "ErrorPath": "$.e"}),
        "notExactlyOne",
        "/States/A",
    ),
    "no branches": (
        machine(A={"Type": "Parallel", "Branches": [], "End": True}),
        "missing",
        "/States/A/Branches",
    ),
    "name in two branches": (
        machine(A={"Type": "Parallel", "Branches": [branch("B"), branch("B")], "End": True}),
        "duplicateStateName",
        "/States/A/Branches/1/States/B",
    ),
    "out of the branch": (
        machine(
            A={
                "Type": "Parallel",
                "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass", "Next": "C"}}}],
                "Next": "C",
            },
            C={"Type": "Succeed"},
        ),
        "unknownState",
        "/States/A/Branches/0/States/B/Next",
    ),
    "map without processor": (
        machine(A={"Type": "Map", "End": True}),
        "missing",
        "/States/A/ItemProcessor",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_definition_is_refused_at_its_place(name: str) -> None:
    """Each broken definition gives the finding that names its fault, and gives it as text too."""
    definition, code, pointer = BROKEN[name]
    for given_as in (definition, json.dumps(definition)):
        assert (code, pointer) in {(f.code, f.pointer) for f in validate_asl(given_as)}


@pytest.mark.parametrize(
    "definition",
    [
        machine(
            A=task(),
        ),
        machine(A=task(Resource="arn:aws:lambda:eu-west-1:123456789012:function:f")),
        machine(
            A={
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, **branch("B")},
                "End": True,
            }
        ),
        choose(
            {"Not": {"Or": [IS_A, {"Variable": "$.t", "TimestampEqualsPath": "$.u"}]}, "Next": "B"}
        ),
        catch(
            {"ErrorEquals": ["States.TaskFailed"], "Next": "B"},
            {"ErrorEquals": ["States.ALL"], "Next": "B"},
        ),
    ],
)
def test_sound_definitions_pass(definition: dict[str, Any]) -> None:
    """What Step Functions accepts and runs is not complained about."""
    assert validate_asl(definition) == []


def test_express_machines_cannot_wait_for_tokens() -> None:
    """The same definition may be right as STANDARD and wrong as EXPRESS."""
    parameters = {"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}}
    waiting = machine(A=task(Resource=INVOKE + ".waitForTaskToken", Parameters=parameters))
    assert validate_asl(waiting) == []
    assert [f.code for f in validate_asl(waiting, "EXPRESS")] == ["notInExpress"]


def test_the_limit_on_size_is_exact() -> None:
    """A definition of 1 MiB passes; one byte more does not."""
    definition = json.dumps({**machine(A=task()), "Comment": ""})
    room = 1_048_576 - len(definition)
    fits = definition.replace('"Comment": ""', f'"Comment": "{"x" * room}"')
    assert validate_asl(fits) == []
    assert [f.code for f in validate_asl(fits + " ")] == ["definitionTooLarge"]


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", '{"StartAt": "A", "StartAt": "A", "States": {}}', "[" * 100_000]
)
def test_text_that_is_no_sound_json_is_refused(text: str) -> None:
    """Broken JSON, and keys that are there twice, are findings and not exceptions."""
    assert {f.code for f in validate_asl(text)} & {"notJson", "duplicateKey"}


FLOW = compile_flow(
    Definition(
        (
            Step("a", on_failure="continue", on_partial_success="stop"),
            Step("b", type="Flow"),
            Step("c", depends_on=("a",)),
            Step("d", depends_on=("a", "b"), on_failure="continue"),
        ),
        flow_retry=FlowRetry(max_attempts=1),
    )
)
JUNK: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({})
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_makes_the_validator_raise(data: st.DataObject) -> None:
    """A compiled machine with any value replaced by junk never gives an exception."""
    definition: Any = copy.deepcopy(json.loads(FLOW.asl))
    place = definition
    while True:
        key = data.draw(
            st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
        )
        if not place[key] or not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = data.draw(JUNK)
            break
        place = place[key]
    validate_asl(definition)

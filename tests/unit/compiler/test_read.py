"""Reading a flow document: what each field means, and that no document whatsoever breaks it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.compiler import (
    Definition,
    FlowRetry,
    Retry,
    Step,
    check,
    compile_flow,
    read_definition,
    read_durations,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)
FIELDS = (
    *("id", "name", "type", "dependsOn", "isSkipped", "exceptionBehavior"),
    *("retry", "timeoutSeconds", "action"),
)
STEP = st.dictionaries(
    st.sampled_from(FIELDS),
    JSON
    | st.sampled_from(["a", "b", "Export", ["a"], ["b"]])
    | st.dictionaries(
        st.sampled_from(
            ["maxAttempts", "intervalSeconds", "backoffRate", "maxDelaySeconds", "jitter"]
        ),
        JSON,
    )
    | st.lists(
        st.fixed_dictionaries({"type": JSON | st.just("failure"), "strategy": JSON}), max_size=2
    ),
)
DOCUMENT = JSON | st.fixed_dictionaries(
    {"steps": st.lists(STEP | JSON, max_size=4) | JSON},
    optional={
        "isSynchronous": JSON,
        "retryMaxAttempts": JSON,
        "retryDelayMinutes": JSON,
        "retryUsesExponentialBackoff": JSON,
    },
)


@settings(max_examples=400, deadline=None)
@given(DOCUMENT)
def test_any_document_gives_a_definition_or_findings(document: object) -> None:
    """Whatever JSON comes in, the answer is one of the two, and rules and compiler cope with it."""
    definition, findings = read_definition(document)
    assert (definition is None) == bool(findings)
    if definition is not None:
        refused = check(definition)
        if not refused:
            assert compile_flow(definition).asl


def test_a_full_step_is_read_field_by_field() -> None:
    """Each field of the document has its place in the definition."""
    definition, findings = read_definition(
        {
            "isSynchronous": False,
            "retryMaxAttempts": 2,
            "retryDelayMinutes": 5,
            "retryUsesExponentialBackoff": True,
            "steps": [
                {"id": "a", "position": {"x": 1}, "action": {"anything": True}},
                {
                    "id": "b",
                    "name": "Bee",
                    "type": "Flow",
                    "dependsOn": ["a"],
                    "isSkipped": True,
                    "exceptionBehavior": [
                        {"type": "failure", "strategy": "continue"},
                        {"type": "partial_success", "strategy": "stop"},
                    ],
                    "retry": {
                        "maxAttempts": 7,
                        "intervalSeconds": 3,
                        "backoffRate": 1,
                        "maxDelaySeconds": 9,
                        "jitter": False,
                    },
                    "timeoutSeconds": 60.0,
                },
            ],
        }
    )
    assert findings == []
    assert definition == Definition(
        steps=(
            Step("a"),
            Step(
                "b",
                name="Bee",
                type="Flow",
                depends_on=("a",),
                is_skipped=True,
                on_failure="continue",
                on_partial_success="stop",
                retry=Retry(7, 3, 1.0, 9, jitter=False),
                timeout_seconds=60,
            ),
        ),
        flow_retry=FlowRetry(2, 5, exponential=True),
    )


@pytest.mark.parametrize(
    ("step", "pointer"),
    [
        ({"retry": {"backoffRate": "2"}}, "/steps/1/retry/backoffRate"),
        ({"retry": {"maxAttempts": 1.5}}, "/steps/1/retry/maxAttempts"),
        ({"retry": {"maxAttempts": True}}, "/steps/1/retry/maxAttempts"),
        ({"retry": []}, "/steps/1/retry"),
        ({"timeoutSeconds": float("inf")}, "/steps/1/timeoutSeconds"),
        ({"dependsOn": ["a", 3]}, "/steps/1/dependsOn/1"),
        ({"exceptionBehavior": [{"type": "failure"}]}, "/steps/1/exceptionBehavior/0/strategy"),
        ({"name": 4}, "/steps/1/name"),
        ({"type": "export"}, "/steps/1/type"),
    ],
)
def test_a_wrong_type_is_reported_at_its_place(step: dict[str, Any], pointer: str) -> None:
    """The finding's pointer leads to the value, and its step is named."""
    definition, findings = read_definition({"steps": [{"id": "a"}, {"id": "b", **step}]})
    assert definition is None
    assert [(finding.pointer, finding.step) for finding in findings] == [(pointer, "b")]


def test_findings_on_types_and_on_the_graph_come_together() -> None:
    """An author sees a wrong type and a cycle in one answer."""
    _, findings = read_definition(
        {
            "steps": [
                {"id": "a", "dependsOn": ["b"], "isSkipped": 1},
                {"id": "b", "dependsOn": ["a"]},
            ]
        }
    )
    assert [finding.code for finding in findings] == ["cycle", "wrongType"]


def test_durations_are_seconds_by_step() -> None:
    """Numbers come through as seconds; anything else is named by its place."""
    assert read_durations({"a": 2, "b": 0}) == ({"a": 2.0, "b": 0.0}, [])
    found, findings = read_durations({"a/b": -1, "c": "3", "d": True, "e": float("nan"), "f": 1})
    assert found == {"f": 1.0}
    assert [finding.pointer for finding in findings] == ["/a~1b", "/c", "/d", "/e"]
    assert [finding.code for finding in read_durations([])[1]] == ["wrongType"]


def test_a_step_that_cannot_be_read_does_not_hide_what_is_wrong_with_the_others() -> None:
    """One step without an id: the graph's faults are reported all the same, at their places."""
    steps = [{"dependsOn": []}, {"id": "a", "dependsOn": ["a", "x"]}, {"id": "a"}]
    definition, findings = read_definition({"steps": steps})
    assert definition is None
    assert [(finding.code, finding.pointer) for finding in findings] == [
        ("missing", "/steps/0/id"),
        ("selfDependency", "/steps/1/dependsOn/0"),
        ("unknownDependency", "/steps/1/dependsOn/1"),
        ("duplicateId", "/steps/2/id"),
    ]

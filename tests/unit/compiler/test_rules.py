"""The rules: each fault is named where it is, once, with a way out."""

from dataclasses import replace
from typing import Any

import pytest

from millrace.compiler import CompileError, Definition, Retry, Step, check, compile_flow


def found(*steps: Step, is_synchronous: bool = False) -> list[tuple[str, str]]:
    """Code and place of each finding on a flow of these steps."""
    return [(f.code, f.pointer) for f in check(Definition(steps, is_synchronous))]


def test_a_sound_flow_has_no_findings() -> None:
    """Nothing is reported where nothing is wrong."""
    assert found(Step("a"), Step("b", depends_on=("a",))) == []


def test_p10_a_cycle_is_named_from_step_to_step() -> None:
    """The message walks once round the shortest cycle, and each knot is reported once."""
    steps = (
        Step("a", depends_on=("c",)),
        Step("b", depends_on=("a",)),
        Step("c", depends_on=("b",)),
        Step("d", depends_on=("c",)),
    )
    (finding,) = check(Definition(steps))
    assert finding.code == "cycle"
    assert finding.pointer == "/steps/0/dependsOn/0"
    assert "'a' -> 'c' -> 'b' -> 'a'" in finding.message


def test_a_cycle_through_a_skipped_step_is_a_cycle() -> None:
    """Skipping a step does not cut the dependencies that lead through it."""
    steps = (Step("a", depends_on=("b",)), Step("b", depends_on=("a",), is_skipped=True))
    assert found(*steps) == [("cycle", "/steps/0/dependsOn/0")]


def test_p10_dependency_faults_are_told_apart() -> None:
    """Self-edges, unknown ids and repeated ids each have a code of their own."""
    assert found(Step("a"), Step("b", depends_on=("b", "x", "a", "a"))) == [
        ("selfDependency", "/steps/1/dependsOn/0"),
        ("unknownDependency", "/steps/1/dependsOn/1"),
        ("duplicateDependency", "/steps/1/dependsOn/3"),
    ]


def test_two_hundred_steps_compile_and_one_more_is_refused() -> None:
    """The limit is exact, at both sides."""
    steps = tuple(Step(f"s{number}") for number in range(200))
    assert check(Definition(steps)) == []
    assert compile_flow(Definition(steps)).asl
    assert found(*steps, Step("more")) == [("tooManySteps", "/steps")]


def test_at_least_one_step_must_be_enabled() -> None:
    """A flow that would do nothing is refused."""
    assert found() == [("noEnabledStep", "/steps")]
    assert found(Step("a", is_skipped=True)) == [("noEnabledStep", "/steps")]


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (Step(""), "idEmpty"),
        (Step("a", name=" "), "nameEmpty"),
        (Step("a", name="n" * 129), "nameTooLong"),
        (Step("i" * 129), "idTooLong"),
        (Step("a", name="tab\there"), "name_unprintable"),
        (Step("a", name="half \ud83d"), "name_unprintable"),
    ],
)
def test_names_and_ids_must_be_readable(step: Step, code: str) -> None:
    """Names that the console or UTF-8 cannot show are refused."""
    assert [finding.code for finding in check(Definition((step,)))] == [code]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"max_attempts": -1}, "maxAttempts"),
        ({"max_attempts": 100_000_000}, "maxAttempts"),
        ({"interval_seconds": 0}, "intervalSeconds"),
        ({"backoff_rate": 0.99}, "backoffRate"),
        ({"backoff_rate": float("inf")}, "backoffRate"),
        ({"backoff_rate": float("nan")}, "backoffRate"),
        ({"max_delay_seconds": 31_622_401}, "maxDelaySeconds"),
        ({"max_delay_seconds": 2}, "maxDelaySeconds"),
    ],
)
def test_retries_stay_within_what_step_functions_accepts(
    change: dict[str, Any], place: str
) -> None:
    """A value that CreateStateMachine would refuse is refused here, where it is written."""
    step = Step("a", retry=replace(Retry(), **change))
    assert [pointer for _, pointer in found(step)] == [f"/steps/0/retry/{place}"]


def test_the_widest_settings_are_accepted() -> None:
    """The limits themselves are inside."""
    retry = Retry(99_999_999, 1, 1.0, 31_622_400)
    step = Step("a", retry=retry, timeout_seconds=99_999_999)
    assert check(Definition((step,))) == []
    assert compile_flow(Definition((step,))).asl


def test_a_synchronous_flow_must_fit_into_five_minutes() -> None:
    """Time-outs written on the slowest path count; those beside it and of skipped steps do not."""
    a = Step("a", timeout_seconds=200)
    beside = Step("beside", timeout_seconds=300)
    skipped = Step("skipped", timeout_seconds=300, depends_on=("a",), is_skipped=True)
    fits = Step("b", timeout_seconds=100, depends_on=("skipped",))
    assert found(a, beside, skipped, fits, is_synchronous=True) == []
    late = replace(fits, timeout_seconds=101)
    assert found(a, beside, skipped, late, is_synchronous=True) == [
        ("synchronousTooLong", "/steps/3/timeoutSeconds")
    ]


def test_compile_reports_all_findings_at_once() -> None:
    """The exception carries what `check` says, in the order of the document."""
    flow = Definition((Step("a", depends_on=("x",)), Step("a", name="")))
    with pytest.raises(CompileError) as caught:
        compile_flow(flow)
    assert list(caught.value.findings) == check(flow)
    assert [f.code for f in caught.value.findings] == [
        "unknownDependency",
        "duplicateId",
        "nameEmpty",
    ]
    assert all(f.remedy for f in caught.value.findings)


def test_p11_a_huge_flow_is_refused_without_getting_lost_in_it() -> None:
    """A chain and a ring of twenty thousand steps: in quadratic time this would not end."""
    count = 20_000
    chain = [Step(f"s{i}", depends_on=(f"s{i - 1}",) if i else ()) for i in range(count)]
    ring = [replace(chain[0], depends_on=(f"s{count - 1}",)), *chain[1:]]
    assert found(*chain, is_synchronous=True) == [("tooManySteps", "/steps")]
    assert [code for code, _ in found(*ring)] == ["tooManySteps", "cycle"]

"""Fields that nobody reads: a likely slip of the pen is refused, anything else is pointed out."""

from typing import Any

import pytest

from millrace.compiler import check_spelling
from millrace.compiler.spelling import FLOW_FIELDS, STEP_FIELDS, Spelling
from millrace.domain.step import Step
from millrace.usecases.apply_document import AppliedFlow


def _step(**fields: object) -> dict[str, Any]:
    return {"steps": [{"id": "a"}, {"id": "b", **fields}]}


@pytest.mark.parametrize(
    ("document", "pointer", "meant", "step"),
    [
        (_step(dependson=["a"]), "/steps/1/dependson", "dependsOn", "b"),
        (_step(depends_on=["a"]), "/steps/1/depends_on", "dependsOn", "b"),
        (_step(dependOn=["a"]), "/steps/1/dependOn", "dependsOn", "b"),
        (_step(depends=["a"]), "/steps/1/depends", "dependsOn", "b"),
        (_step(skipped=True), "/steps/1/skipped", "isSkipped", "b"),
        (_step(exceptionBehaviour=[]), "/steps/1/exceptionBehaviour", "exceptionBehavior", "b"),
        (_step(**{"timeout-seconds": 5}), "/steps/1/timeout-seconds", "timeoutSeconds", "b"),
        (_step(**{"depends/on~": ["a"]}), "/steps/1/depends~1on~0", "dependsOn", "b"),
        (_step(retry={"maxAttempt": 0}), "/steps/1/retry/maxAttempt", "maxAttempts", "b"),
        (_step(dependsOn=["a"], depends_on=[]), "/steps/1/depends_on", "dependsOn", "b"),
        ({"Steps": [{"id": "a"}]}, "/Steps", "steps", None),
        ({"step": [{"id": "a"}]}, "/step", "steps", None),
        (
            {"steps": [{"id": "a"}], "is_synchronous": True},
            "/is_synchronous",
            "isSynchronous",
            None,
        ),
    ],
)
def test_a_likely_misspelling_is_refused(
    document: dict[str, Any], pointer: str, meant: str, step: str | None
) -> None:
    """What was meant is named, so that no dependency or setting is lost without a word."""
    spelling = check_spelling(document)
    assert spelling.passed_over == []
    (finding,) = spelling.findings
    assert (finding.code, finding.pointer, finding.step) == ("unknownField", pointer, step)
    assert finding.remedy == f"Write {meant}, or remove it."


@pytest.mark.parametrize("name", ["duration", "note", "time", "idx", "createdAt", "needs", "seed"])
def test_other_unknown_fields_are_pointed_out_and_do_no_harm(name: str) -> None:
    """Each field is told once, at the first place where it stands, however many steps have it."""
    steps: list[dict[str, Any]] = [{"id": step, name: 1, "retry": {}} for step in ("a", "b")]
    spelling = check_spelling({"steps": steps})
    assert spelling.findings == []
    assert [(warning.pointer, warning.step) for warning in spelling.passed_over] == [
        (f"/steps/0/{name}", "a")
    ]


def test_a_field_beside_the_one_that_it_resembles_is_passed_over() -> None:
    """Where the field itself is given, a similar name is most likely something else."""
    spelling = check_spelling(_step(type="Export", types=[]))
    assert spelling.findings == []
    assert [warning.pointer for warning in spelling.passed_over] == ["/steps/1/types"]


def test_every_field_that_the_api_has_is_known() -> None:
    """A field that the API takes is never complained of."""
    assert {field.alias for field in Step.model_fields.values()} == STEP_FIELDS
    assert {field.alias for field in AppliedFlow.model_fields.values()} == FLOW_FIELDS
    document = dict.fromkeys(FLOW_FIELDS) | {"steps": [dict.fromkeys(STEP_FIELDS)]}
    assert check_spelling(document) == Spelling()


@pytest.mark.parametrize(
    "document", [None, [], {}, {"steps": 1}, {"steps": [1, {"retry": []}]}, {"steps": [{"id": 3}]}]
)
def test_whatever_the_shape_spelling_can_be_checked(document: object) -> None:
    """What is no flow at all is for others to tell."""
    assert check_spelling(document) == Spelling()

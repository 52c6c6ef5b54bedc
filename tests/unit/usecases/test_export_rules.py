"""What is wrong with an export of objects is told when it is saved."""

import pytest
from tests.support.samples import ALICE
from tests.support.world import World

from millrace.connectors.rendering import objects
from millrace.domain.action import Action, ActionInput
from millrace.domain.errors import RuleViolationError, StepFailed
from millrace.domain.run_values import RunValues
from millrace.domain.sources import S3Export
from millrace.usecases.actions import ACTIONS


def saved(world: World, **place: str) -> Action:
    """The stored action of an export of objects."""
    work = {"type": "Export", "s3": {"bucket": "millrace-data-x", **place}}
    given = ActionInput.model_validate({"name": "Read", "work": work})
    return ACTIONS.create(world.context, ALICE, given)


@pytest.mark.parametrize(
    ("place", "text", "code"),
    [
        ("key", "in/{{ ( }}", "badTemplate"),
        ("prefix", "in/{{ parameters. }}", "badTemplate"),
        ("prefix", "in/{{ record.day }}", "recordUnknown"),
    ],
)
def test_a_name_that_cannot_be_filled_in_is_refused(
    world: World, place: str, text: str, code: str
) -> None:
    """With its place; objects are read for a run, not for a record."""
    with pytest.raises(RuleViolationError) as caught:
        saved(world, **{place: text})
    assert [(each.code, each.pointer) for each in caught.value.violations] == [
        (code, f"/work/s3/{place}")
    ]


def test_an_export_of_objects_needs_no_connection(world: World) -> None:
    """Nor is one looked for."""
    assert saved(world, prefix="in/{{ parameters.day }}/").work.type == "Export"


def test_a_name_takes_what_the_run_gives_and_no_secret() -> None:
    """A key shows in logs of the bucket; whatever it is given, it stays in the bucket."""
    work = S3Export(bucket="millrace-data-x", prefix="in/{{ parameters.day }}/", pattern="*.csv")
    values = RunValues({"parameters": {"day": "2026/01"}})
    assert objects(work, values) == work.model_copy(update={"prefix": "in/2026/01/"})
    with pytest.raises(StepFailed, match="no value") as missing:
        objects(work, RunValues({"parameters": {}}))
    assert missing.value.code == "templateUndefined"
    hidden = RunValues({"parameters": {}}, {"pin": "1"}, frozenset({"pin"}))
    with pytest.raises(StepFailed) as refused:
        objects(work, hidden)
    assert refused.value.code == "secretInKey"

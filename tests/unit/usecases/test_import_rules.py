"""What is wrong with an import is told when it is saved."""

import pytest
from tests.support.samples import ALICE
from tests.support.world import World

from millrace.domain.action import Action, ActionInput
from millrace.domain.base import Json
from millrace.domain.errors import RuleViolationError
from millrace.usecases.actions import ACTIONS


def saved(world: World, **work: Json) -> Action:
    """The stored action of an import."""
    given = {"name": "Write", "work": {"type": "Import", **work}}
    return ACTIONS.create(world.context, ALICE, ActionInput.model_validate(given))


@pytest.mark.parametrize(
    ("work", "code", "pointer"),
    [
        ({"http": {"path": "/{{ record. }}"}}, "badTemplate", "/http/path"),
        (
            {"http": {"path": "/a", "upsert": {"method": "PUT", "path": "/{{ ( }}"}}},
            "badTemplate",
            "/http/upsert/path",
        ),
        (
            {"http": {"path": "/a", "body": {"x": ["{{ ( }}"]}}},
            "badTemplate",
            "/http/body/x/0",
        ),
        ({"http": {"path": "/{{ record.id }}", "batchSize": 2}}, "recordUnknown", "/http/path"),
        (
            {"http": {"path": "/a", "batchSize": 2, "results": {"okExpression": "("}}},
            "badExpression",
            "/http/results/okExpression",
        ),
        (
            {"s3": {"bucket": "millrace-data-x", "key": "{{ part }}{{ ( }}"}},
            "badTemplate",
            "/s3/key",
        ),
        ({"sqs": {"queue": "q", "group": "("}}, "badExpression", "/sqs/group"),
    ],
)
def test_a_fault_is_told_with_its_place(world: World, work: Json, code: str, pointer: str) -> None:
    """Before anything runs."""
    if "http" in work:
        work = {"connectionId": world.connection().id, **work}
    with pytest.raises(RuleViolationError) as caught:
        saved(world, **work)
    assert [(each.code, each.pointer) for each in caught.value.violations] == [
        (code, f"/work{pointer}")
    ]


def test_an_import_to_aws_needs_no_connection(world: World) -> None:
    """Nor is one looked for."""
    action = saved(world, dynamodb={"table": "millrace-data-x", "key": ["id"]})
    assert "connectionId" not in action.work.to_json()

"""Each change of a flow leaves an entry that says who changed what, and none leaves two."""

from dataclasses import replace

import pytest
from tests.support.samples import ALICE, MALLORY, process_step
from tests.support.world import World

from millrace.domain.audit import AuditEntry
from millrace.domain.errors import NotFoundError, RevisionMismatchError
from millrace.domain.flow import Flow, FlowInput
from millrace.domain.ports import Change
from millrace.domain.webhook import WebhookInput
from millrace.storage.memory import MemoryResources
from millrace.usecases.apply import apply
from millrace.usecases.apply_document import ApplyDocument
from millrace.usecases.audit import list_audit
from millrace.usecases.deploy import undeploy_version
from millrace.usecases.flow_changes import create_flow, delete_flow, replace_flow
from millrace.usecases.flows import get_flow, latest_version
from millrace.usecases.webhooks import WEBHOOKS

READ = process_step("read")
BOB = ALICE.model_copy(update={"token_id": "tok_bob", "request_id": "req-7"})


def trail(world: World, flow_id: str) -> tuple[AuditEntry, ...]:
    """A flow's audit trail, newest first."""
    return list_audit(world.context, ALICE, flow_id, 100, None).items


def test_a_change_tells_who_what_when_and_in_which_request(world: World) -> None:
    """Only the fields that differ are told, before and after, nulls included."""
    flow = world.flow(READ)
    world.clock.forward(hours=1)
    given = FlowInput(name="Orders", description="All of them", steps=(READ,))
    replace_flow(world.context, BOB, flow.id, given, flow.revision)
    entry, _ = trail(world, flow.id)
    assert (entry.event, entry.created_by, entry.request_id) == ("replaced", "tok_bob", "req-7")
    assert entry.created_at == world.clock.now
    (change,) = entry.changes
    assert (change.resource_type, change.resource_id) == ("flow", flow.id)
    assert (change.before, change.after) == (
        {"description": None},
        {"description": "All of them"},
    )


def test_each_kind_of_change_leaves_its_entry(world: World) -> None:
    """From creation to deletion, which the trail outlives."""
    flow = world.flow(READ)
    world.change(flow, READ, process_step("write", depends_on=("read",)))
    world.deploy(flow)
    version = latest_version(world.context, flow)
    undeploy_version(world.context, ALICE, flow.id, version.id, version.revision)
    hook = WEBHOOKS.create(world.context, ALICE, WebhookInput(), flow_id=flow.id)
    WEBHOOKS.delete(world.context, ALICE, hook.id, hook.revision, flow_id=flow.id)
    now = get_flow(world.context, ALICE, flow.id)
    delete_flow(world.context, ALICE, flow.id, now.revision)
    events = [entry.event for entry in reversed(trail(world, flow.id))]
    assert events == [
        "created",
        "replaced",
        "deployed",
        "undeployed",
        "webhookCreated",
        "webhookDeleted",
        "deleted",
    ]


def test_applying_a_file_tells_each_flow_its_own(world: World) -> None:
    """Two flows of one file have an entry each; applying it again leaves none."""
    file = ApplyDocument.model_validate(
        {"flows": [{"name": key, "stableKey": key, "deploy": False} for key in ("a", "b")]}
    )
    result = apply(world.context, ALICE, file)
    apply(world.context, ALICE, file)
    for flow in result.flows:
        (entry,) = trail(world, flow.id)
        assert entry.event == "applied"
        assert {change.resource_type for change in entry.changes} == {"flow", "version"}


def test_a_change_that_changes_nothing_leaves_no_entry(world: World) -> None:
    """Sending back what one read is no change, so nobody made one."""
    flow = world.flow(READ)
    world.change(flow, READ)
    assert [entry.event for entry in trail(world, flow.id)] == ["created"]


def test_a_refused_change_leaves_no_entry(world: World) -> None:
    """The entry is part of the transaction."""

    class Outrun(MemoryResources):
        def commit(self, *changes: Change) -> None:
            del changes
            raise RevisionMismatchError("somebody was faster")

    flow = world.flow(READ)
    rival = Outrun()
    rival._items = world.resources._items
    given = FlowInput(name="Invoices")
    context = replace(world.context, resources=rival)
    with pytest.raises(RevisionMismatchError):
        replace_flow(context, ALICE, flow.id, given, flow.revision)
    assert [entry.event for entry in trail(world, flow.id)] == ["created"]


def test_a_webhooks_secret_is_not_in_the_trail(world: World) -> None:
    """That there is a secret is told, never which."""
    flow = world.flow(READ)
    given = WebhookInput.model_validate({"hmacAlgorithm": "sha256", "hmacSecretKey": "s3cret"})
    WEBHOOKS.create(world.context, ALICE, given, flow_id=flow.id)
    (entry, _) = trail(world, flow.id)
    assert "s3cret" not in entry.model_dump_json()
    assert entry.changes[0].after is not None
    assert entry.changes[0].after["secretsVersion"] is not None


def test_a_value_too_large_to_keep_is_told_by_its_digest(world: World) -> None:
    """Two versions of 400 KB each would not fit one entry."""
    operations = [{"type": "map", "expression": f'"{"x" * 15_000}"'}] * 10
    steps = [
        {"id": "a", "type": "Process", "action": {"type": "Process", "operations": operations}}
    ]
    flow, _ = create_flow(
        world.context, ALICE, FlowInput.model_validate({"name": "Big", "steps": steps})
    )
    (entry,) = trail(world, flow.id)
    after = entry.changes[1].after
    assert after is not None
    assert after["steps"].keys() == {"sha256", "bytes"}
    assert after["steps"]["bytes"] > 150_000


def test_a_trail_is_the_workspaces_own(world: World) -> None:
    """To another workspace the flow is not there, nor is its trail."""
    flow: Flow = world.flow(READ)
    for caller, flow_id in ((MALLORY, flow.id), (ALICE, "flow_9")):
        with pytest.raises(NotFoundError):
            list_audit(world.context, caller, flow_id, 10, None)

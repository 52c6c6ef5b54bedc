"""Queues whose messages start runs: connected in step with their flow, and one run a message."""

import pytest
from tests.support.samples import ALICE, MALLORY, process_step
from tests.support.world import World

from millrace.domain.base import Json
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    RuleViolationError,
    UnavailableError,
)
from millrace.domain.flow import Flow, FlowInput
from millrace.domain.ports import Delete
from millrace.storage.memory import MemoryQueues
from millrace.usecases.deploy import deploy_version, undeploy_version
from millrace.usecases.flow_changes import create_flow
from millrace.usecases.flows import get_flow, latest_version
from millrace.usecases.payloads import load_payload
from millrace.usecases.queue_messages import Message, on_message
from millrace.usecases.runs import list_runs
from millrace.usecases.trigger_sync import remove_triggers, resync_triggers

MAP = process_step("map")
ORDERS = "millrace-data-orders"
STOCK = "millrace-data-stock"


@pytest.fixture
def world() -> World:
    """Nothing yet."""
    return World()


def of_queue(name: str = ORDERS) -> dict[str, Json]:
    """The settings of a flow that messages of a queue start."""
    return {"trigger": {"kind": "queue", "queue": name}}


def message(world: World, id_: str = "m-1", body: str = '{"n": 1}', queue: str = ORDERS) -> Message:
    """A message."""
    return Message(queue=queue, id=id_, body=body, sent_at=world.clock())


def undeploy(world: World, flow: Flow) -> None:
    """Take the deployed version back."""
    version = latest_version(world.context, get_flow(world.context, ALICE, flow.id))
    undeploy_version(world.context, ALICE, flow.id, version.id, version.revision)


def changed(world: World, flow: Flow, **settings: Json) -> None:
    """Change a flow as the API does."""
    resync_triggers(world.context, world.change(flow, MAP, **settings))


def refused(world: World, flow: Flow) -> list[tuple[str, str]]:
    """With what a flow is not deployed."""
    with pytest.raises(RuleViolationError) as caught:
        world.deploy(flow)
    return [(found.code, found.pointer) for found in caught.value.violations]


def test_a_queue_is_connected_while_its_flow_is_deployed_and_enabled(world: World) -> None:
    """Whichever way that changes."""
    flow = world.flow(MAP, **of_queue())
    assert world.queues.connected == set()
    world.deploy(flow)
    assert world.queues.connected == {ORDERS}
    changed(world, flow, **of_queue(), enabled=False)
    assert world.queues.connected == set()
    changed(world, flow, **of_queue(), enabled=True)
    assert world.queues.connected == {ORDERS}
    changed(world, flow, **of_queue(STOCK))
    assert world.queues.connected == {STOCK}
    changed(world, flow)
    assert world.queues.connected == set()
    changed(world, flow, **of_queue())
    undeploy(world, flow)
    assert world.queues.connected == set()


def test_a_message_starts_one_run_however_often_it_comes(world: World) -> None:
    """Its run tells where it comes from, and has the body as JSON if it is that."""
    flow = world.deployed(MAP, **of_queue())
    run = on_message(world.context, message(world))
    assert on_message(world.context, message(world)).id == run.id
    other = on_message(world.context, message(world, "m-2", "a text"))
    assert {each.id for each in list_runs(world.context, ALICE, flow.id, 9, None).items} == {
        run.id,
        other.id,
    }
    trigger = run.trigger
    assert (trigger.source, trigger.queue, trigger.delivery_id) == ("queue", ORDERS, "m-1")
    assert load_payload(world.context, run)["body"] == {"n": 1}
    assert load_payload(world.context, other)["body"] == "a text"
    assert world.machines.outcome(run.machine_arn, run.id) == "RUNNING"


def test_a_message_that_comes_again_after_two_weeks_is_the_same(world: World) -> None:
    """SQS keeps none for longer."""
    world.deployed(MAP, **of_queue())
    run = on_message(world.context, message(world))
    world.clock.forward(days=14)
    assert on_message(world.context, message(world)).id == run.id


def test_a_message_that_nobody_takes_stays(world: World) -> None:
    """No flow has the queue, or the one that has is disabled, or undeployed meanwhile."""
    with pytest.raises(NotFoundError):
        on_message(world.context, message(world))
    flow = world.deployed(MAP, **of_queue())
    world.change(flow, MAP, **of_queue(), enabled=False)  # and the queue is not disconnected yet
    with pytest.raises(ConflictError):
        on_message(world.context, message(world))
    assert list_runs(world.context, ALICE, flow.id, 9, None).items == ()


@pytest.mark.parametrize(
    ("trigger", "code"),
    [
        ({"kind": "queue"}, "queueMissing"),
        ({"kind": "manual", "queue": ORDERS}, "queueOfNoQueueTrigger"),
        ({"kind": "queue", "queue": "orders"}, "queueNotAllowed"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_queue_that_cannot_be_is_refused(
    world: World, trigger: dict[str, Json], code: str
) -> None:
    """When it is first named; other changes are not in its way later."""
    with pytest.raises(RuleViolationError) as caught:
        world.flow(MAP, trigger=trigger)
    found = [(each.code, each.pointer) for each in caught.value.violations]
    assert found == [(code, "/trigger/queue")]


def test_a_flow_may_be_changed_after_the_prefix_of_queues_was(world: World) -> None:
    """Above all it may be disabled."""
    flow = world.deployed(MAP, **of_queue())
    world.queues.prefix = "other-"
    changed(world, flow, **of_queue(), enabled=False)
    assert world.queues.connected == set()


def test_a_queue_has_one_flow(world: World) -> None:
    """In all workspaces, as it hands a message to one receiver; a draft may name it."""
    flow = world.deployed(MAP, **of_queue())
    second = world.flow(MAP, name="Second", **of_queue())
    assert refused(world, second) == [("queueTaken", "/trigger/queue")]
    theirs, _ = create_flow(
        world.context, MALLORY, FlowInput(name="Theirs", steps=(MAP,), **of_queue())
    )
    version = latest_version(world.context, theirs)
    with pytest.raises(RuleViolationError) as caught:
        deploy_version(world.context, MALLORY, theirs.id, version.id, version.revision)
    assert flow.id not in str(caught.value.violations)
    third = world.deployed(MAP, name="Third")
    with pytest.raises(RuleViolationError):
        world.change(third, MAP, **of_queue())
    undeploy(world, flow)
    world.deploy(second)
    assert on_message(world.context, message(world)).flow_id == second.id


def test_a_queue_whose_flow_is_gone_is_free(world: World) -> None:
    """Also if it could not be disconnected when the flow was deleted."""

    class Busy(MemoryQueues):
        def disconnect(self, name: str) -> None:
            raise UnavailableError(name)

    flow = world.deployed(MAP, **of_queue())
    world.queues.__class__ = Busy
    world.resources.commit(Delete(get_flow(world.context, ALICE, flow.id)))
    remove_triggers(world.context, flow)
    world.queues.__class__ = MemoryQueues
    with pytest.raises(NotFoundError):
        on_message(world.context, message(world))
    second = world.deployed(MAP, name="Second", **of_queue())
    assert on_message(world.context, message(world)).flow_id == second.id


def test_who_lost_a_queue_does_not_disconnect_it(world: World) -> None:
    """Its own disconnecting failed when it was disabled, and another flow has the queue now."""
    flow = world.deployed(MAP, **of_queue())
    world.change(flow, MAP, **of_queue(), enabled=False)
    second = world.deployed(MAP, name="Second", **of_queue())
    changed(world, flow, **of_queue(), enabled=False, description="still disabled")
    assert world.queues.connected == {ORDERS}
    assert on_message(world.context, message(world)).flow_id == second.id


def test_a_queue_that_is_missing_is_told_and_connected_by_the_next_try(world: World) -> None:
    """The version is deployed all the same."""
    world.queues.missing = {ORDERS}
    flow = world.flow(MAP, **of_queue())
    with pytest.raises(ConflictError, match="does not exist"):
        world.deploy(flow)
    world.queues.missing = set()
    world.deploy(flow)
    assert world.queues.connected == {ORDERS}

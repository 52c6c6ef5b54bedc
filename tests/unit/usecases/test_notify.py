"""Who is told of the ends of runs, how long it is tried, and when a target is given up."""

from dataclasses import dataclass, field

import pytest
from tests.support.samples import ALICE, process_step
from tests.support.world import World

from millrace.domain.base import Json
from millrace.domain.flow import Flow
from millrace.domain.notification import Notification
from millrace.domain.notification_group import NotificationGroup, NotificationGroupInput, UrlTarget
from millrace.domain.ports import Message, Undelivered
from millrace.domain.run import Run, RunStatus
from millrace.usecases.lifecycle import cancel_run, on_execution_end
from millrace.usecases.notify import deliver
from millrace.usecases.plain import NOTIFICATION_GROUPS
from millrace.usecases.run_ends import Failure
from millrace.usecases.sweeper import sweep

MAP = process_step("map")
CRASHED = Failure(error="Lambda.Unknown")
HOOK = "https://ops.example/hooks/secret-path"
OTHER = "https://other.example/hook"


@dataclass
class Receivers:
    """Play the other side: what they got, and which of them answer how."""

    got: list[tuple[str, Message]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    def send(self, target: object, message: Message) -> None:
        """See Messenger."""
        assert isinstance(target, UrlTarget)
        self.got.append((target.url, message))
        if target.url in self.gone:
            raise Undelivered("it answered 410", gone=True)
        if target.url in self.down:
            raise Undelivered("it answered 503")


@pytest.fixture
def world() -> World:
    """Nothing yet."""
    return World()


@pytest.fixture
def receivers() -> Receivers:
    """All of them well."""
    return Receivers()


def group(world: World, *on: str, urls: tuple[str, ...] = (HOOK,)) -> NotificationGroup:
    """A group that is told of these."""
    given = {
        "name": "Ops",
        "targets": [{"type": "url", "url": url} for url in urls],
        "on": on or ("failed",),
        "signingSecret": "s3cret",
    }
    return NOTIFICATION_GROUPS.create(
        world.context, ALICE, NotificationGroupInput.model_validate(given)
    )


def told(world: World) -> list[str]:
    """What was begun to be told, in order."""
    return [note.subject for note in world.notifications.started.values()]


def fail(world: World, flow: Flow) -> Run:
    """A run of the flow that fails."""
    run = world.start(flow)
    world.tell(run, "attemptFailed", failure=CRASHED)
    return world.now(run)


def succeed(world: World, flow: Flow) -> Run:
    """A run of the flow that succeeds."""
    run = world.start(flow)
    world.step(run, "map")
    world.tell(run, "attemptSucceeded")
    return world.now(run)


def watched(world: World, *groups: NotificationGroup, **settings: Json) -> Flow:
    """A deployed flow that names these groups."""
    return world.deployed(MAP, notification_groups=tuple(each.id for each in groups), **settings)


def test_each_group_is_told_what_it_asked_for(world: World) -> None:
    """Of failures, and of no success that nobody asked about."""
    failures, all_ends = group(world), group(world, "failed", "succeeded", urls=(HOOK, OTHER))
    flow = watched(world, failures, all_ends)
    succeed(world, flow)
    assert told(world) == ["succeeded", "succeeded"]
    run = fail(world, flow)
    notes = list(world.notifications.started.values())[2:]
    assert [(note.group_id, note.subject, note.run_id) for note in notes] == [
        (failures.id, "failed", run.id),
        (all_ends.id, "failed", run.id),
        (all_ends.id, "failed", run.id),
    ]


def test_a_partial_success_is_told_as_one(world: World) -> None:
    """Nobody hears of it as a failure or a success."""
    flow = watched(world, group(world, "failed", "succeeded"), group(world, "partiallySucceeded"))
    run = world.start(flow, [{"id": 1}, {"id": "x"}])
    record = world.runs.claim_step(world.runs.get(run.key), "map", world.clock())
    partly = record.model_copy(update={"status": RunStatus.PARTIALLY_SUCCEEDED})
    world.runs.save_step(run.key, type(record).model_validate(partly.model_dump(warnings=False)))
    world.tell(run, "attemptSucceeded")
    assert world.now(run).status is RunStatus.PARTIALLY_SUCCEEDED
    assert told(world) == ["partiallySucceeded"]


def test_r9_the_first_success_after_failures_is_a_recovery(world: World) -> None:
    """Once, and it names the last run that failed."""
    flow = watched(world, group(world, "recovered", "succeeded"))
    succeed(world, flow)
    fail(world, flow)
    last = fail(world, flow)
    recovered = succeed(world, flow)
    assert recovered.recovered_from == last.id
    assert succeed(world, flow).recovered_from is None
    assert told(world) == ["succeeded", "recovered", "succeeded"]


def test_a_cancelled_run_is_no_news(world: World) -> None:
    """Somebody knows already."""
    run = world.start(watched(world, group(world, "failed", "succeeded")))
    cancel_run(world.context, run)
    on_execution_end(world.context, run.key, "ABORTED")
    assert told(world) == []


def test_an_end_is_told_once_whoever_tells_of_it(world: World) -> None:
    """A notification is known by its group, its target and its run."""
    run = fail(world, watched(world, group(world)))
    world.tell(run, "attemptFailed", failure=CRASHED)
    on_execution_end(world.context, run.key, "FAILED")
    world.clock.forward(hours=1)
    assert sweep(world.context) == 0
    assert told(world) == ["failed"]


def note_of(world: World) -> Notification:
    """The notification that was begun last."""
    return list(world.notifications.started.values())[-1]


def tries(world: World, receivers: Receivers, note: Notification) -> list[int]:
    """Play the machine: try, wait, try again; the waits in seconds."""
    waits = []
    while seconds := (answer := deliver(world.context, receivers, note))["waitSeconds"]:
        waits.append(seconds)
        world.clock.forward(seconds=seconds)
        note = Notification.model_validate(answer["note"])
    return waits


def test_a_message_tells_of_the_run_and_keeps_its_secrets(
    world: World, receivers: Receivers
) -> None:
    """What it is about and why; the secret that signs it shows nowhere."""
    flow = watched(world, group(world), name="Orders")
    run = fail(world, flow)
    note = note_of(world)
    assert tries(world, receivers, note) == []
    ((url, message),) = receivers.got
    assert (url, message.id, message.secret) == (HOOK, note.id, "s3cret")
    assert message.body["type"] == "run.failed"
    data = message.body["data"]
    assert (data["runId"], data["flowId"], data["flowName"]) == (run.id, flow.id, "Orders")
    assert data["error"]["code"] == "crashed"
    for shown in (repr(message), note.model_dump_json()):
        assert "s3cret" not in shown
        assert "secret-path" not in shown


def test_r16_a_receiver_that_is_down_is_tried_by_the_schedule(
    world: World, receivers: Receivers
) -> None:
    """5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h, always with the same id; then it is over."""
    fail(world, watched(world, group(world)))
    receivers.down = {HOOK}
    waits = tries(world, receivers, note_of(world))
    assert waits == [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]
    assert len({message.id for _, message in receivers.got}) == 1
    assert len(receivers.got) == 8


def test_a_receiver_that_comes_back_is_told(world: World, receivers: Receivers) -> None:
    """And what was is forgotten."""
    flow = watched(world, group(world))
    fail(world, flow)
    receivers.down = {HOOK}
    answer = deliver(world.context, receivers, note_of(world))
    receivers.down = set()
    world.clock.forward(days=4)
    note = Notification.model_validate(answer["note"])
    assert deliver(world.context, receivers, note)["outcome"] == "delivered"
    receivers.down = {HOOK}
    world.clock.forward(days=4)
    assert deliver(world.context, receivers, note)["waitSeconds"] > 0


def test_r16_a_receiver_that_is_gone_is_told_no_more(world: World, receivers: Receivers) -> None:
    """410 stops this notification and all that would follow; the other targets are told so."""
    flow = watched(world, group(world, urls=(HOOK, OTHER)))
    fail(world, flow)
    to_hook, to_other = world.notifications.started.values()
    receivers.gone = {HOOK}
    assert tries(world, receivers, to_hook) == []
    assert tries(world, receivers, to_other) == []
    notice = note_of(world)
    assert (notice.subject, notice.target_id) == ("targetDisabled", to_other.target_id)
    tries(world, receivers, notice)
    url, message = receivers.got[-1]
    assert (url, message.body["type"]) == (OTHER, "target.disabled")
    assert message.body["data"]["target"] == "url ops.example"
    receivers.got.clear()
    fail(world, flow)
    for note in list(world.notifications.started.values())[-2:]:
        tries(world, receivers, note)
    assert [url for url, _ in receivers.got] == [OTHER]


def test_a_target_is_disabled_after_five_days(world: World, receivers: Receivers) -> None:
    """Not before, whatever the number of notifications that failed; a change gives it a chance."""
    ops = group(world, urls=(HOOK, OTHER))
    flow = watched(world, ops)
    receivers.down = {HOOK}
    begun = world.clock()
    while note_of_hook(world, flow, receivers):
        world.clock.forward(hours=6)
    assert 5 <= (world.clock() - begun).days <= 6
    assert note_of(world).subject == "targetDisabled"
    receivers.got.clear()
    receivers.down = set()
    assert not note_of_hook(world, flow, receivers)
    assert receivers.got == []
    given = NotificationGroupInput.model_validate(
        ops.model_dump(include={"targets", "on"}) | {"name": "Ops, mended"}
    )
    world.clock.forward(minutes=1)
    NOTIFICATION_GROUPS.replace(world.context, ALICE, ops.id, given, ops.revision)
    assert note_of_hook(world, flow, receivers)


def note_of_hook(world: World, flow: Flow, receivers: Receivers) -> bool:
    """Let a run fail and the first target be tried; whether it was, and may be again."""
    before = len(world.notifications.started)
    fail(world, flow)
    note = list(world.notifications.started.values())[before]
    answer = deliver(world.context, receivers, note)
    return bool(answer["waitSeconds"]) or answer["outcome"] == "delivered"


def test_what_is_gone_ends_quietly(world: World, receivers: Receivers) -> None:
    """The group was deleted, or the target taken out of it, while a notification waited."""
    ops = group(world, urls=(HOOK, OTHER))
    fail(world, watched(world, ops))
    to_hook, to_other = world.notifications.started.values()
    given = NotificationGroupInput.model_validate(
        {"name": "Ops", "targets": [{"type": "url", "url": OTHER}]}
    )
    ops = NOTIFICATION_GROUPS.replace(world.context, ALICE, ops.id, given, ops.revision)
    assert "removed" in str(deliver(world.context, receivers, to_hook)["outcome"])
    NOTIFICATION_GROUPS.delete(world.context, ALICE, ops.id, ops.revision)
    assert "deleted" in str(deliver(world.context, receivers, to_other)["outcome"])
    assert receivers.got == []

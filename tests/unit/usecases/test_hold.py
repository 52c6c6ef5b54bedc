"""Callers of callbacks: held until their run is over, or their time is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from tests.support.samples import ALICE, export_step, filter_step, process_step
from tests.support.world import World

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.callback import Callback, CallbackInput
from millrace.domain.delivery import Delivery
from millrace.domain.errors import ConflictError, UnavailableError
from millrace.domain.flow import Flow
from millrace.domain.ports import Ended
from millrace.domain.run import Run, RunStatus
from millrace.domain.step import Step
from millrace.storage.memory import MemoryMachines
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.deploy import undeploy_version
from millrace.usecases.flows import latest_version
from millrace.usecases.hold import Held, UnansweredError, hold
from millrace.usecases.lifecycle import cancel_run
from millrace.usecases.run_answers import RunAnswer
from millrace.usecases.runs import list_runs
from millrace.usecases.sweeper import sweep

JSON_TYPE: Final = {"content-type": "application/json"}
ECHO: Final = process_step("echo", "body")


@dataclass
class Line:
    """A callback, and a caller who waits."""

    world: World
    flow: Flow
    callback: Callback
    slept: list[float] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    """What happens each time that the caller waits."""

    def call(self, body: bytes = b"{}", **headers: str) -> Held:
        """Call with JSON; header names are written with underscores."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        delivery = Delivery("POST", JSON_TYPE | given, {}, body)
        return hold(
            self.world.context, self.callback.id, delivery, self._sleep, lambda: sum(self.slept)
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.meanwhile()

    @property
    def runs(self) -> tuple[Run, ...]:
        """The flow's runs."""
        return list_runs(self.world.context, ALICE, self.flow.id, 100, None).items

    def carry_out(self, *step_ids: str, told: str | None = "attemptSucceeded") -> None:
        """Do what the machine of the newest run does."""
        run, *_ = self.runs
        for step_id in step_ids:
            self.world.step(run, step_id)
        if told is not None:
            self.world.tell(run, told)


def new_line(world: World, *steps: Step, **settings: Json) -> Line:
    """A callback of a deployed flow; settings that are a callback's are."""
    given = CallbackInput.model_validate(settings.pop("callback", {}))
    flow = world.deployed(*(steps or (ECHO,)), **settings)
    return Line(world, flow, CALLBACKS.create(world.context, ALICE, given, flow_id=flow.id))


def reading(world: World, *records: Json) -> Line:
    """A synchronous flow that hands on these records."""
    world.connectors.pages = [list(records)]
    return synchronous(world, export_step("read", world.connection().id))


def synchronous(world: World, *steps: Step, **settings: Json) -> Line:
    """The same for a synchronous flow, whose machine runs its steps in order."""
    line = new_line(world, *steps, isSynchronous=True, **settings)

    def run_machine(_: dict[str, Any]) -> Ended:
        line.carry_out(*(step.id for step in steps or (ECHO,) if not step.is_skipped))
        return Ended("SUCCEEDED")

    world.machines.on_run = run_machine
    return line


def test_a_synchronous_flow_answers_without_being_asked(world: World) -> None:
    """Its machine is run to the end; nobody waits a moment more."""
    line = synchronous(world)
    held = line.call(b'{"n": 1}')
    assert held.records == ({"n": 1},)
    assert (held.run.status, held.is_new) == (RunStatus.SUCCEEDED, True)
    assert held.run.trigger.source == "callback"
    assert held.run.trigger.callback_id == line.callback.id
    assert sum(line.slept) == 0
    latest = world.flow_of(held.run).latest_run
    assert latest is not None
    assert (latest.trigger_source, latest.triggered_by) == ("callback", line.callback.id)
    assert latest.status is RunStatus.SUCCEEDED


def test_other_flows_are_asked_for_ever_less_often(world: World) -> None:
    """A flow with a STANDARD machine answers as soon as it is over, too."""
    line = new_line(world)
    line.meanwhile = lambda: line.carry_out("echo") if len(line.slept) == 3 else None
    assert line.call(b'{"n": 1}').records == ({"n": 1},)
    assert line.slept == [0.05, 0.1, 0.2]


def test_the_result_is_what_the_last_steps_hand_on(world: World) -> None:
    """All that no other step reads, in the order of the steps; a skipped one is transparent."""
    world.connectors.pages = [[{"n": 1}, {"n": 2}]]
    line = synchronous(
        world,
        export_step("first", world.connection().id),
        process_step("double", "{'n': n * 2}", depends_on=("first",)),
        filter_step("large", "n > 1", depends_on=("first",)),
        process_step("skipped", depends_on=("double",), is_skipped=True),
    )
    assert line.call().records == ({"n": 2}, {"n": 4}, {"n": 2})


def test_at_the_deadline_the_run_goes_on_without_the_caller(world: World) -> None:
    """Every accepted request has one."""
    line = new_line(world)
    held = line.call()
    assert (held.run.status, held.records, held.reply) == (RunStatus.RUNNING, (), None)
    assert sum(line.slept) == pytest.approx(limits.RUN_WAIT_SECONDS)
    line.carry_out("echo")
    assert world.now(held.run).status is RunStatus.SUCCEEDED


def test_a_synchronous_run_beyond_the_deadline_is_told_to_its_flow(world: World) -> None:
    """Step Functions did not answer in time; its start saved that write."""
    line = new_line(world, isSynchronous=True)
    held = line.call()
    assert held.run.status is RunStatus.RUNNING
    latest = world.flow_of(held.run).latest_run
    assert latest is not None
    assert latest.run_id == held.run.id


@pytest.mark.parametrize("is_synchronous", [True, False])
def test_a_failed_run_answers_at_once(world: World, is_synchronous: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """No caller waits for a result that never comes."""
    line = new_line(world, isSynchronous=is_synchronous)

    def fail() -> Ended:
        line.carry_out(told="attemptFailed")
        return Ended("SUCCEEDED")

    world.machines.on_run = lambda _: fail()

    def meanwhile() -> None:
        fail()

    line.meanwhile = line.meanwhile if is_synchronous else meanwhile
    held = line.call()
    assert (held.run.status, held.records) == (RunStatus.FAILED, ())
    assert sum(line.slept) <= 0.05


def test_a_cancelled_run_answers_at_once(world: World) -> None:
    """Whoever cancelled it."""
    line = new_line(world)

    def meanwhile() -> None:
        cancel_run(world.context, line.runs[0])

    line.meanwhile = meanwhile
    assert line.call().run.status is RunStatus.CANCELLED


def test_a_machine_that_could_not_tell_its_end_is_believed(world: World) -> None:
    """Of an EXPRESS execution nobody else will tell."""
    line = new_line(world, isSynchronous=True)
    world.machines.on_run = lambda _: Ended("TIMED_OUT")
    held = line.call()
    assert held.run.error is not None
    assert held.run.error.code == "machineTimedOut"


def test_what_the_worker_told_of_the_end_is_not_read(world: World) -> None:
    """The machine hands it on; the caller is answered from that."""
    line = synchronous(world)

    def run_machine(_: dict[str, Any]) -> Ended:
        line.carry_out("echo")
        run, steps = world.runs.detail(line.runs[0].key)
        told = RunAnswer(run=run.model_copy(update={"tracestate": "a=1"}), steps=steps).told()
        return Ended("SUCCEEDED", {"end": {"Payload": {"isOver": True, **told}}})

    world.machines.on_run = run_machine
    held = line.call(b'{"n": 1}')
    assert (held.records, held.run.tracestate) == (({"n": 1},), "a=1")


@pytest.mark.parametrize("answer", ["{}", "nonsense", 7, None, '{"run": {"id": "run_9"}}'])
def test_what_a_machine_hands_on_otherwise_is_left_alone(world: World, answer: Json) -> None:
    """The result is read, as by callers of a worker that told nothing."""
    line = synchronous(world)

    def run_machine(_: dict[str, Any]) -> Ended:
        line.carry_out("echo")
        return Ended("SUCCEEDED", {"end": {"Payload": {"isOver": True, "answer": answer}}})

    world.machines.on_run = run_machine
    assert line.call(b'{"n": 1}').records == ({"n": 1},)


def test_the_end_of_another_run_is_not_believed(world: World) -> None:
    """A machine answers for its own run only."""
    line = synchronous(world)
    line.call(b'{"n": 1}')
    run, steps = world.runs.detail(line.runs[0].key)
    told = RunAnswer(run=run, steps=steps).told()

    def run_machine(_: dict[str, Any]) -> Ended:
        line.carry_out("echo")
        return Ended("SUCCEEDED", {"end": {"Payload": {"isOver": True, **told}}})

    world.machines.on_run = run_machine
    assert line.call(b'{"n": 2}').records == ({"n": 2},)


def test_r3_the_same_call_waits_for_the_same_run(world: World) -> None:
    """And is answered the same, while it runs and after; the machine ran once."""
    line = synchronous(world, callback={"deliveryIdHeader": "X-Id"})
    first = line.call(b'{"n": 1}', x_id="1")
    second = line.call(b'{"n": 2}', x_id="1")
    assert (second.run.id, second.is_new, second.records) == (first.run.id, False, ({"n": 1},))
    assert len(world.machines.started) == 1
    later = line.call(b'{"n": 3}', x_id="2")
    assert (later.is_new, len(line.runs)) == (True, 2)


def test_a_repeated_call_is_answered_by_the_version_of_its_run(world: World) -> None:
    """Although another one is live by now."""
    line = synchronous(world, callback={"deliveryIdHeader": "X-Id"})
    line.call(b'{"n": 1}', x_id="1")
    world.change(line.flow, process_step("other", "body"), isSynchronous=True)
    world.deploy(line.flow)
    assert line.call(x_id="1").records == ({"n": 1},)


class BusyMachines(MemoryMachines):
    """Step Functions that takes a call only after some tries."""

    refusals: int = 2

    def run(self, machine_arn: str, name: str, data: dict[str, Json]) -> Ended | None:
        """Refuse, or not."""
        if self.refusals:
            self.refusals -= 1
            raise UnavailableError(f"cannot start {name} of {machine_arn}")
        return super().run(machine_arn, name, data)


def test_r5_a_start_that_is_refused_is_tried_again(world: World) -> None:
    """The caller waits a little longer; nothing is lost."""
    world.machines = BusyMachines()
    line = synchronous(world)
    assert line.call(b'{"n": 1}').records == ({"n": 1},)
    assert line.slept == [0.0, 0.1, 0.4]


def test_a_call_that_finds_the_flow_busy_waits_for_its_turn(world: World) -> None:
    """The machine of the run before ends in time: the caller has the result, nobody told twice."""
    line = synchronous(world, concurrency={"limit": 1})
    first = world.start(line.flow)

    def meanwhile() -> None:
        if len(line.slept) == 2:
            world.tell(first, "attemptSucceeded")
        if len(line.slept) == 3:
            line.carry_out("echo")

    line.meanwhile = meanwhile
    held = line.call(b'{"n": 1}')
    assert (held.run.status, held.records) == (RunStatus.SUCCEEDED, ({"n": 1},))


def test_a_call_whose_turn_does_not_come_is_told_where_to_look(world: World) -> None:
    """At the deadline; its run waits on and is started when there is a slot."""
    line = synchronous(world, concurrency={"limit": 1})
    first = world.start(line.flow)
    held = line.call(b'{"n": 1}')
    assert held.run.status is RunStatus.QUEUED
    assert sum(line.slept) == limits.RUN_WAIT_SECONDS
    world.tell(first, "attemptSucceeded")
    assert world.now(held.run).status is RunStatus.RUNNING
    assert (held.run.machine_arn, held.run.id) in world.machines.started


def test_r5_a_call_whose_start_is_refused_throughout_is_not_lost(world: World) -> None:
    """The caller is told where to look, and the sweeper starts the run."""
    world.machines = machines = BusyMachines()
    machines.refusals = 99
    line = synchronous(world)
    held = line.call(b'{"n": 1}')
    assert held.run.status is RunStatus.RUNNING
    assert machines.started == {}
    world.clock.forward(minutes=3)
    assert sweep(world.context) == 1
    assert (held.run.machine_arn, held.run.id) in machines.started


@pytest.mark.parametrize(
    ("said", "status", "headers", "body"),
    [
        ({"status": 404}, 404, {}, None),
        ({"body": [1]}, None, {}, [1]),
        ({}, None, {}, None),
        ({"status": 299, "headers": {"X-A": "é\t~"}, "body": "<a/>"}, 299, {"X-A": "é\t~"}, "<a/>"),
    ],
)
def test_a_step_words_the_answer(
    world: World, said: Json, status: int | None, headers: dict[str, str], body: Json
) -> None:
    """The first record with `$response` is the whole answer; what it leaves out is as usual."""
    line = reading(world, {"n": 1}, {"$response": said}, {"$response": {"status": 500}})
    held = line.call()
    assert held.reply is not None
    assert (held.reply.status, held.reply.headers, held.reply.body) == (status, headers, body)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("ok", "no object"),
        ({"status": 99}, "status"),
        ({"status": 600}, "status"),
        ({"status": "200"}, "status"),
        ({"status": True}, "status"),
        ({"code": 200}, "code"),
        ({"headers": {"X A": "1"}}, "headers"),
        ({"headers": {"X-É": "1"}}, "headers"),
        ({"headers": {"X": 1}}, "headers/X"),
        ({"headers": {"X": "a\r\nSet-Cookie: b"}}, "headers/X"),
        ({"headers": {"X": "a" * 8_193}}, "headers/X"),
        ({"headers": {f"X-{n}": "" for n in range(51)}}, "headers"),
        ({"headers": {"Content-Length": "0"}}, "Content-Length"),
        ({"headers": {"transfer-encoding": "chunked"}}, "transfer-encoding"),
    ],
)
def test_p9_a_badly_worded_answer_is_none(world: World, said: Json, why: str) -> None:
    """Nothing of it reaches the caller; the error names the place."""
    line = reading(world, {"$response": said})
    with pytest.raises(UnansweredError, match=why) as raised:
        line.call()
    assert raised.value.code == "badResponse"
    assert raised.value.held.run.status is RunStatus.SUCCEEDED


def test_p1_a_result_too_large_for_an_answer_is_told(world: World) -> None:
    """It is there to be read; no caller gets half of it."""
    line = reading(world, *({"text": "x" * 1_000_000} for _ in range(6)))
    with pytest.raises(UnansweredError, match="5,000,000") as raised:
        line.call()
    assert raised.value.code == "resultTooLarge"


def test_the_rules_of_webhooks_hold(world: World) -> None:
    """A flow that nobody deployed, or that is disabled, takes no calls."""
    line = new_line(world)
    world.change(line.flow, ECHO, enabled=False)
    with pytest.raises(ConflictError, match="disabled"):
        line.call()
    world.change(line.flow, ECHO)
    version = latest_version(world.context, line.flow)
    undeploy_version(world.context, ALICE, line.flow.id, version.id, version.revision)
    with pytest.raises(ConflictError, match="deploy one first"):
        line.call()
    assert line.runs == ()

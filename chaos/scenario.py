"""Carries out a plan: starts runs under faults, lets all end, and retries in peace what failed."""

import json
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final

from chaos.answers import Told
from chaos.cloud import SWEEP_MINUTES
from chaos.plans import Plan, Start, body_of
from chaos.world import World
from tests.support.app import http_event
from tests.support.samples import ALICE

from millrace.domain.callback import CallbackInput
from millrace.domain.connection import ConnectionInput, RateLimit
from millrace.domain.flow import Flow, FlowInput
from millrace.domain.run import Run, RunKey, RunStatus, StepStatus
from millrace.domain.webhook import WebhookInput
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.context import Context
from millrace.usecases.deploy import deploy_version
from millrace.usecases.flow_changes import create_flow
from millrace.usecases.flows import latest_version
from millrace.usecases.lifecycle import cancel_run
from millrace.usecases.record_errors import ErrorFilter
from millrace.usecases.retry_errors import ErrorRetryRequest, retry_errors
from millrace.usecases.retry_run import RetryRequest, retry_run
from millrace.usecases.run_flow import RunRequest, run_flow
from millrace.usecases.webhooks import WEBHOOKS

_SWEEPS_IN_VAIN: Final = 40
"""So many sweeps in a row change nothing, and something still is not over: it never will be."""

_SWEEPS: Final = 12
"""By the clock, whatever is going on; once nothing is any more, one follows the other."""

_STEPS_MAX: Final = 50_000
_RETRIES_MAX: Final = 3
_FAULTS_AGAIN: Final = 5
"""So many more for the time when failed records are tried again."""

UNFOLLOWED: Final = frozenset({RunStatus.CANCELLED, RunStatus.SUPERSEDED})
"""How runs end that nobody wants to go on."""

_DELIVERY_ID: Final = "X-Delivery-Id"


@dataclass
class Played:
    """What took place."""

    world: World
    flow: Flow
    next_flow: Flow | None
    accepted: dict[str, list[str]] = field(default_factory=dict)
    """The runs that the senders were told of, one for each answer, by what they sent."""
    answers: list[Told] = field(default_factory=list)
    """What those were told who waited for the result."""
    is_settled: bool = False


def play(world: World) -> Played:
    """Let a world's plan take place."""
    scenario = _Scenario(world)
    scenario.begin()
    scenario.settle()
    if scenario.played.is_settled and world.plan.retries_errors:
        scenario.retry_errors()
        scenario.settle()
    if scenario.played.is_settled:
        scenario.heal()
    return scenario.played


class _Scenario:
    def __init__(self, world: World) -> None:
        self._world = world
        self._plan: Plan = world.plan
        context = world.context
        limit = world.plan.rate_limit
        given = ConnectionInput(
            name="shop",
            base_url="https://shop.example",
            rate_limit=None if limit is None else RateLimit.model_validate(limit),
        )
        connection_id = CONNECTIONS.create(context, ALICE, given).id
        next_flow = self._next_flow(context) if world.plan.has_next_flow else None
        settings = {"runNextFlowIds": [next_flow.id]} if next_flow else {}
        steps = [_over(step, connection_id) for step in world.plan.steps]
        flow = _deployed(
            context, {"name": "chaos", "steps": steps, **settings, **world.plan.settings}
        )
        hook = WebhookInput(delivery_id_header=_DELIVERY_ID)
        self._webhook_id = WEBHOOKS.create(context, ALICE, hook, flow_id=flow.id).id
        callback = CallbackInput(delivery_id_header=_DELIVERY_ID)
        self._callback_id = CALLBACKS.create(context, ALICE, callback, flow_id=flow.id).id
        self.played = Played(world, flow, next_flow)
        self._keys = count()

    @staticmethod
    def _next_flow(context: Context) -> Flow:
        map_ = {"type": "map", "expression": "runId"}
        work = {"type": "Process", "operations": [map_]}
        step = {"id": "note", "type": "Process", "action": work}
        return _deployed(context, {"name": "next", "steps": [step]})

    def begin(self) -> None:
        """Plan what comes from outside."""
        loop, rng = self._world.loop, self._plan.rng
        for start in self._plan.starts:
            self._world.shop.catalogue[start.name] = body_of(self._plan, start)
            for _ in range(start.repeats):
                after = start.at_seconds + rng.choice((0, 1, 60, 600)) * rng.random()
                loop.after(partial(self._send, start), seconds=after)
        for number in range(_SWEEPS):
            loop.after(self._world.cloud.sweep, minutes=SWEEP_MINUTES * number)
        if self._plan.cancels:
            loop.after(self._cancel, seconds=rng.uniform(1, 120))

    def settle(self) -> None:
        """Let all that is due take place until everything is over, or never will be."""
        world, in_vain = self._world, 0
        while in_vain < _SWEEPS_IN_VAIN:
            for _ in range(_STEPS_MAX):
                if not world.loop.step():
                    break
            far = world.clock.now.replace(year=world.clock.now.year + 1)
            self.played.is_settled = not world.stores.runs.unfinished(far)
            if self.played.is_settled and in_vain:
                return
            world.clock.forward(minutes=SWEEP_MINUTES)
            world.cloud.sweep()
            in_vain += 1

    def retry_errors(self) -> None:
        """Nothing is refused any more: have what was tried again, while things still go wrong."""
        world = self._world
        world.shop.takes_all_since = world.clock()
        world.faults.left += _FAULTS_AGAIN
        for _ in range(_RETRIES_MAX):
            seconds = self._plan.rng.choice((0, 1, 600)) * self._plan.rng.random()
            world.loop.after(self._retry_errors, seconds=seconds)

    def _retry_errors(self) -> None:
        """Ask until it is heard."""
        asked = ErrorRetryRequest(filter=ErrorFilter())
        flow_id = self.played.flow.id
        try:
            self._world.cloud.api(
                "retry errors", lambda context: retry_errors(context, ALICE, flow_id, asked)
            )
        except Exception:  # noqa: BLE001 - whatever it is, the user tries again
            self._world.loop.after(self._retry_errors, seconds=20)

    def heal(self) -> None:
        """Nothing goes wrong any more: what failed is retried from where it failed."""
        self._world.faults.left = 0
        self._retry_runs()
        if self._plan.retries_errors:
            self._retry_errors()
            self.settle()
            self._retry_runs()

    def _retry_runs(self) -> None:
        runs = self._world.stores.runs.page(ALICE.workspace_id, self.played.flow.id, limit=10_000)
        for root in sorted(run.id for run in runs.items if run.retry_of is None):
            for _ in range(_RETRIES_MAX):
                run = self._last(root)
                if run.status in UNFOLLOWED or not self._has_failed(run):
                    break
                retry_run(self._world.context, ALICE, run.id, RetryRequest(from_="failedStep"))
                self.settle()

    def _last(self, run_id: str) -> Run:
        run = self._world.stores.runs.get(RunKey(ALICE.workspace_id, run_id))
        return self._last(run.retries[-1]) if run.retries else run

    def _has_failed(self, run: Run) -> bool:
        records = self._world.stores.runs.steps(run.key, run.attempt)
        return run.status is RunStatus.FAILED or any(
            record.status is StepStatus.FAILED for record in records
        )

    def _send(self, start: Start) -> None:
        """Send until it is accepted."""
        try:
            run_id = self._deliver(start) if start.is_delivery else self._start(start)
        except Exception:  # noqa: BLE001 - whatever it is, the sender knows nothing
            run_id = None
        if run_id is None:
            self._world.loop.after(lambda: self._send(start), seconds=20)
        else:
            self.played.accepted.setdefault(start.name, []).append(run_id)

    def _deliver(self, start: Start) -> str | None:
        kind, id_ = ("webhook", self._webhook_id)
        if self._plan.is_called:
            kind, id_ = ("callback", self._callback_id)
        event = http_event(
            "ingress",
            "POST",
            f"/{kind}s/{id_}",
            json.dumps(body_of(self._plan, start)).encode(),
            {"Content-Type": "application/json", _DELIVERY_ID: start.name},
        )
        event["pathParameters"] = {f"{kind}Id": id_}
        told = Told.of(self._world.cloud.deliver(event))
        if told is None:
            return None
        if self._plan.is_called:
            self.played.answers.append(told)
        return told.run_id

    def _start(self, start: Start) -> str:
        asked = RunRequest(parameters={"name": start.name})
        flow_id = self.played.flow.id
        run = self._world.cloud.api(
            "run", lambda context: run_flow(context, ALICE, flow_id, asked, start.name)
        )
        return run.id

    def _cancel(self) -> None:
        """Cancel a run, however often it takes."""
        run_id = next((told[0] for told in self.played.accepted.values()), None)
        if run_id is None:
            return
        run = self._world.stores.runs.get(RunKey(ALICE.workspace_id, run_id))
        try:
            self._world.cloud.api("cancel", lambda context: cancel_run(context, run))
        except Exception:  # noqa: BLE001 - whatever it is, the user tries again
            self._world.loop.after(self._cancel, seconds=20)


def _over(step: dict[str, Any], connection_id: str) -> dict[str, Any]:
    action = step["action"]
    if "connectionId" in action:
        action = {**action, "connectionId": connection_id}
    return {**step, "action": action}


def _deployed(context: Context, given: dict[str, Any]) -> Flow:
    flow, _ = create_flow(context, ALICE, FlowInput.model_validate(given))
    version = latest_version(context, flow)
    deploy_version(context, ALICE, flow.id, version.id, version.revision)
    return flow

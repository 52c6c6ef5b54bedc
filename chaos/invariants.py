"""What must be true once everything is over, whatever went wrong."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chaos import superseding
from chaos.error_queue import ErrorQueue
from chaos.plans import BAD, BAD_BY, KEPT, body_of
from chaos.scenario import UNFOLLOWED, Played
from chaos.shop import numbers
from tests.support.samples import ALICE
from tests.support.time_and_ids import NOON

from millrace import limits
from millrace.domain.connection import Connection
from millrace.domain.flow import Flow
from millrace.domain.metrics import MetricKey
from millrace.domain.pace import micros
from millrace.domain.run import Counts, Run, RunKey, RunStatus, StepRecord, StepStatus
from millrace.usecases.pages import read_records
from millrace.usecases.runs import get_run


def broken(played: Played) -> list[str]:
    """Every invariant that does not hold, and where."""
    if not played.is_settled:
        runs = played.world.stores.runs.unfinished(played.world.clock() + timedelta(days=1))
        return [f"run {run.id} is never over: {run.status}" for run in runs]
    found = _Look(played)
    return [
        *found.deliveries(),
        *found.answers(),
        *found.superseded(),
        *found.statuses(),
        *found.followers(),
        *found.left_behind(),
        *found.records(),
        *found.errors.faults(),
    ]


class _Look:
    def __init__(self, played: Played) -> None:
        self._played = played
        self.world = played.world
        self._stores = played.world.stores
        self._runs = self._of(played.flow)
        self.errors = ErrorQueue(played)
        self.again = self.errors.allowed

    def _of(self, flow: Flow) -> tuple[Run, ...]:
        return self._stores.runs.page(ALICE.workspace_id, flow.id, limit=10_000).items

    def deliveries(self) -> Iterator[str]:
        """Every accepted delivery has exactly one run."""
        roots = Counter(
            run.trigger.delivery_id or self._name(run)
            for run in self._runs
            if not run.retry_of and not run.replay
        )
        for start in self._played.world.plan.starts:
            told = set(self._played.accepted.get(start.name, ()))
            if len(told) != 1:
                yield f"delivery {start.name}: its answers named {len(told)} runs"
            if roots[start.name] != 1:
                yield f"delivery {start.name}: it has {roots[start.name]} runs"

    def answers(self) -> Iterator[str]:
        """What callers were told agrees with how the run ended."""
        stores = self._stores
        for told in self._played.answers:
            run = stores.runs.get(RunKey(ALICE.workspace_id, told.run_id))
            yield from told.disagreements(self.world.plan, stores.runs, stores.blobs, run)

    def superseded(self) -> Iterator[str]:
        """Older and newer runs for the same request name each other."""
        yield from superseding.disagreements(self._runs)

    def _name(self, run: Run) -> str:
        """Of a run that was started by hand: what it was asked to read."""
        for name, told in self._played.accepted.items():
            if run.id in told:
                return name
        return f"of nobody: {run.id}"

    def statuses(self) -> Iterator[str]:
        """Every run reaches one terminal status, and is counted once."""
        for run_id, ends in self._played.world.ends.items():
            if len(ends) != 1:
                yield f"run {run_id} ended {len(ends)} times: {sorted(ends)}"
        for flow in filter(None, (self._played.flow, self._played.next_flow)):
            tomorrow = self._played.world.clock() + timedelta(days=1)
            counted = self._stores.runs.counted(ALICE.workspace_id, flow.id, "day", NOON, tomorrow)
            number = sum(each.counters.get(MetricKey.RUNS, 0) for each in counted)
            if number != len(self._of(flow)):
                yield f"flow {flow.id}: of {len(self._of(flow))} runs {number} were counted"

    def followers(self) -> Iterator[str]:
        """Every run that ended started the next flow exactly once."""
        if self._played.next_flow is None:
            return
        started = Counter(run.trigger.run_id for run in self._of(self._played.next_flow))
        for run in self._runs:
            wanted = 0 if run.status in UNFOLLOWED else 1
            if started[run.id] != wanted or len(run.next_runs) != wanted:
                yield f"run {run.id} ({run.status}) started the next flow {started[run.id]} times"

    def left_behind(self) -> Iterator[str]:
        """No step that runs, no slot and no lock is left."""
        for run in self._runs:
            for record in get_run(self.world.context, ALICE, run.id).steps:
                if not record.status.is_terminal:
                    yield f"step {record.step_id} of run {run.id} is left {record.status}"
        lanes = self._stores.runs.lanes(ALICE.workspace_id, self._played.flow.id, limit=100)
        yield from (f"a slot or a place in line is left: {key} {lane}" for key, lane in lanes)
        later = micros(self._played.world.clock() + timedelta(seconds=limits.SEAT_SECONDS))
        connections = self._stores.resources.page(Connection, ALICE.workspace_id).items
        for connection in connections:
            pace = self._stores.paces.read(ALICE.workspace_id, connection.id)
            if pace is not None and any(until > later for until in pace.seats.values()):
                yield f"a seat at connection {connection.id} is left"

    def records(self) -> Iterator[str]:
        """Every record is delivered, in the error queue, or counted as ignored; none twice."""
        allowed = Counter(self.again)
        for name, told in self._played.accepted.items():
            root = self._stores.runs.get(RunKey(ALICE.workspace_id, told[0]))
            run = self._last(root)
            if run.status in UNFOLLOWED:
                continue
            flow = _Flow(self, root, run, name)
            yield from flow.check()
            allowed.update(flow.sent)
            allowed.update(flow.anew)
        for path, received in self._played.world.shop.received.items():
            for id_, times in received.items():
                if times > max(1, allowed[path, id_]):
                    yield f"record {id_} arrived {times} times at {path}"

    def _last(self, run: Run) -> Run:
        while run.retries:
            run = self._stores.runs.get(RunKey(run.workspace_id, run.retries[-1]))
        return run


@dataclass
class _Step:
    """What a step should have made of its input."""

    handed_on: list[str]
    failed: int
    ignored: int


class _Flow:
    """The run that counts in the end, step by step, beside what its steps should have done."""

    def __init__(self, look: _Look, root: Run, run: Run, name: str) -> None:
        self._look = look
        self._root = root
        self._run = run
        self._name = name
        self._world = look.world
        self._steps = {step["id"]: step for step in self._world.plan.steps}
        records = self._world.stores.runs.steps(run.key, run.attempt)
        self._records = {record.step_id: record for record in records}
        self.sent: Counter[tuple[str, str]] = Counter()
        """How often each record may have arrived, by path and id."""
        self.anew: Counter[tuple[str, str]] = Counter()
        """How often more, because a step took something else when it was tried again."""

    def check(self) -> Iterator[str]:
        """What is wrong with the run."""
        for step_id, step in self._steps.items():
            record = self._records.get(step_id)
            if record is not None and record.status.has_output:
                yield from self._check_step(step, record)
            elif self._stopped():
                # It may have sent something in a run before that one, whose end nobody waits for.
                self._may_have_sent(step)
            else:
                status = "not begun" if record is None else record.status
                yield self._says(step_id, f"is {status} although nothing goes wrong any more")
        if (self._run.status is RunStatus.FAILED) != bool(self._stopped()):
            yield self._says("-", f"the run is {self._run.status}")

    def _may_have_sent(self, step: dict[str, Any]) -> None:
        path = step["action"].get("http", {}).get("path", "")
        for each in body_of_name(self._world, self._name):
            if isinstance(each, dict):
                self.sent[path, each["id"]] += len(step["dependsOn"])

    def _may_take_more(self, step: dict[str, Any]) -> bool:
        """Whether the flow went on to it without what failed, which may be there by now."""
        behaviour = [each["exceptionBehavior"] for each in self._steps.values() if each != step]
        goes_on = any({"type": "failure", "strategy": "continue"} in each for each in behaviour)
        return len(step["dependsOn"]) > 1 and goes_on

    def _stopped(self) -> list[str]:
        """The steps that end the run as they should, since some of their records failed."""
        return [
            step["id"]
            for step in self._steps.values()
            if {"type": "partial_success", "strategy": "stop"} in step["exceptionBehavior"]
            and step["id"] in self._records
            and self._records[step["id"]].status is StepStatus.PARTIALLY_SUCCEEDED
        ]

    def _says(self, step_id: str, what: str) -> str:
        return f"run {self._run.id} ({self._name}), step {step_id}: {what}"

    def _check_step(self, step: dict[str, Any], record: StepRecord) -> Iterator[str]:
        taken = self._input(step)
        wrong: list[str] = []
        match step["type"]:
            case "Export":
                taken = [str(each) for each in body_of_name(self._world, self._name)]
                expected = self._exported(step)
            case "Process":
                expected = self._processed(step, taken)
            case _:
                expected = self._imported(step, taken, record, wrong)
        yield from wrong
        if (handed_on := self._output(record)) != expected.handed_on:
            missing = Counter(expected.handed_on) - Counter(handed_on)
            more = Counter(handed_on) - Counter(expected.handed_on)
            yield self._says(step["id"], f"hands on {dict(more)} too much, {dict(missing)} not")
        counts = Counts(
            records_in=len(taken),
            records_out=len(expected.handed_on),
            records_ignored=expected.ignored,
            records_failed=expected.failed,
        )
        if record.counts != counts:
            yield self._says(step["id"], f"counts {record.counts!r} and not {counts!r}")

    def _input(self, step: dict[str, Any]) -> list[str]:
        before = (self._records.get(id_) for id_ in step["dependsOn"])
        return [id_ for record in before if record for id_ in self._output(record)]

    def _output(self, record: StepRecord) -> list[str]:
        if not record.status.has_output:
            return []
        pages = read_records(self._world.stores.blobs, record.output)
        return [each["id"] for page in pages for each in page]

    def _is_noted(self, step: dict[str, Any], position: int) -> bool:
        return self._look.errors.has((step["id"], self._root.id, position))

    def _exported(self, step: dict[str, Any]) -> _Step:
        elements = body_of_name(self._world, self._name)
        good = [each["id"] for each in elements if isinstance(each, dict)]
        noted = [
            place
            for place, each in enumerate(elements)
            if not isinstance(each, dict) and self._is_noted(step, place)
        ]
        return _Step(good, len(noted), 0)

    def _processed(self, step: dict[str, Any], ids: list[str]) -> _Step:
        kinds = {operation["type"] for operation in step["action"]["operations"]}
        kept: list[str] = []
        failed = ignored = 0
        for position, (id_, n) in enumerate(zip(ids, numbers(ids), strict=True)):
            if "filter" in kinds and n % KEPT == 0:
                ignored += 1
            elif "map" in kinds and n % BAD_BY == BAD:
                failed += self._is_noted(step, position)
            else:
                kept.append(id_)
        return _Step(kept, failed, ignored)

    def _imported(
        self, step: dict[str, Any], ids: list[str], record: StepRecord, wrong: list[str]
    ) -> _Step:
        path = step["action"]["http"]["path"]
        received = self._world.shop.received[path]
        since = self._world.shop.takes_all_since
        takes_all = since is not None and record.started_at >= since
        kept: list[str] = []
        noted: Counter[str] = Counter()
        ignored = over = 0
        for position, (id_, n) in enumerate(zip(ids, numbers(ids), strict=True)):
            if "filter" in step and n % KEPT == 1:
                ignored += step["onNotMatching"] == "drop"
                if step["onNotMatching"] == "pass":
                    kept.append(id_)
                continue
            place = (step["id"], self._root.id, position)
            if not takes_all and self._look.errors.is_over(place):
                over += 1
            elif not takes_all and self._is_noted(step, position):
                noted[id_] += 1
            else:
                kept.append(id_)
                self.sent[path, id_] += 1
                self.anew[path, id_] += self._may_take_more(step)
        # A record that came by two branches may arrive once and be refused once.
        for id_ in sorted({*kept, *noted}):
            if received[id_] < self.sent[path, id_]:
                wrong.append(self._says(step["id"], f"record {id_} is lost"))
            if noted[id_] and received[id_] > self.sent[path, id_] + self._look.again[path, id_]:
                wrong.append(self._says(step["id"], f"{id_} arrived and is among the errors"))
        return _Step(kept, noted.total() + over, ignored)


def body_of_name(world: Any, name: str) -> list[Any]:  # noqa: ANN401 - a World
    """What a start brings or has read."""
    return next(body_of(world.plan, start) for start in world.plan.starts if start.name == name)

"""The ports in memory, for tests and for trying things out; no network, no credentials.

They keep models as their packed form, so what they give back went through the same encoding as in
DynamoDB.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import RLock
from typing import Any
from urllib.parse import quote, urlencode

from millrace import limits
from millrace.domain import run_states
from millrace.domain.cursor import decode_cursor, encode_cursor
from millrace.domain.errors import ConflictError, NotFoundError, RevisionMismatchError, StepError
from millrace.domain.flow import Flow, MachineKind
from millrace.domain.lane import Lane, LaneChange, LaneChangedError
from millrace.domain.metrics import Counted, Grain, counters_of, grain_of
from millrace.domain.notification import Notification
from millrace.domain.ports import (
    DELIVERY_MEMORY,
    Browsed,
    Change,
    Create,
    Delete,
    Ended,
    Found,
    KeyRef,
    Listing,
    Order,
    Ref,
    Replace,
    Schedule,
    Scratch,
)
from millrace.domain.resource import Resource
from millrace.domain.run import (
    ANY_RUN,
    Followed,
    LaneKey,
    LatestRun,
    Run,
    RunError,
    RunFilter,
    RunKey,
    RunOutcome,
    StepRecord,
    StepStatus,
)
from millrace.domain.token import Token
from millrace.storage import keys
from millrace.storage.changes import (
    Relisted,
    already_there,
    changed_meanwhile,
    check_size,
    claimed_key,
    flow_gone,
    key_taken,
    relisted,
    subject,
)
from millrace.storage.codec import pack, unpack
from millrace.storage.memory_failed_records import MemoryFailedRecords
from millrace.storage.orders import order_keys, time_key


class MemoryResources:
    """The `Resources` port in a dictionary."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], Resource] = {}
        self._latest: dict[tuple[str, str, str], LatestRun] = {}
        self._settled: dict[str, int] = {}

    def get[R: Resource](
        self, kind: type[R], workspace_id: str, id_: str, *, parent_id: str | None = None
    ) -> R:
        """The resource. Raises NotFoundError."""
        stored = self._items.get((keys.collection(workspace_id, kind.prefix, parent_id), id_))
        if not isinstance(stored, kind):
            raise NotFoundError(f"there is no {kind.__name__.lower()} {id_!r}")
        return stored

    def get_many(self, workspace_id: str, refs: Iterable[Ref[Any]]) -> Found:
        """Several resources in one read; what is not there is left out."""
        found: dict[Ref[Any] | KeyRef[Any], Resource] = {}
        for ref in refs:
            address = (keys.collection(workspace_id, ref.kind.prefix, ref.parent_id), ref.id)
            if address in self._items:
                found[ref] = self._items[address]
        return Found(found)

    def record_run(self, workspace_id: str, flow_id: str, run: LatestRun) -> None:
        """Remember the latest run of a flow and of its version, unless a later one is known."""
        address = (keys.collection(workspace_id, Flow.prefix, None), flow_id)
        flow = self._items.get(address)
        if not isinstance(flow, Flow):
            return
        place = (workspace_id, flow_id, run.version_id)
        if place not in self._latest or self._latest[place].start_date <= run.start_date:
            self._latest[place] = run
        if flow.latest_run is None or flow.latest_run.start_date <= run.start_date:
            self._items[address] = flow.model_copy(update={"latest_run": run})

    def unsettled(self, changed_before: datetime) -> tuple[Flow, ...]:
        """Flows of whose change nobody said since that it was followed."""
        return tuple(
            flow
            for flow in self._items.values()
            if isinstance(flow, Flow)
            and flow.unsettled_at is not None
            and flow.unsettled_at < changed_before
            and self._settled.get(flow.id) != flow.revision
        )

    def settle(self, flow: Flow) -> None:
        """Note that what follows the change of a flow was done."""
        self._settled[flow.id] = flow.revision

    def record_use(self, workspace_id: str, token_id: str, at: datetime, since: datetime) -> None:
        """Remember when a token was last used, unless a use after `since` is known."""
        address = (keys.collection(workspace_id, Token.prefix, None), token_id)
        token = self._items.get(address)
        if not isinstance(token, Token):
            return
        if token.last_used_at is None or token.last_used_at <= since:
            self._items[address] = token.model_copy(update={"last_used_at": at})

    def latest_runs(
        self, workspace_id: str, versions: Iterable[tuple[str, str]]
    ) -> Mapping[str, LatestRun]:
        """The latest runs of versions that are not their flow's latest run."""
        return {
            version_id: self._latest[workspace_id, flow_id, version_id]
            for flow_id, version_id in versions
            if (workspace_id, flow_id, version_id) in self._latest
        }

    def find[R: Resource](
        self, kind: type[R], workspace_id: str, stable_key: str, *, parent_id: str | None = None
    ) -> R | None:
        """The resource of the collection that has this stable key, if there is one."""
        members = self._members(kind, keys.collection(workspace_id, kind.prefix, parent_id))
        return next((item for item in members if item.unique_key == stable_key), None)

    def find_many(self, workspace_id: str, refs: Iterable[KeyRef[Any]]) -> Found:
        """Several resources by stable key; what is not there is left out."""
        found: dict[Ref[Any] | KeyRef[Any], Resource] = {}
        for ref in refs:
            there = self.find(ref.kind, workspace_id, ref.stable_key, parent_id=ref.parent_id)
            if there is not None:
                found[ref] = there
        return Found(found)

    def page[R: Resource](
        self,
        kind: type[R],
        workspace_id: str,
        *,
        parent_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        newest_first: bool = False,
        skip: int = 0,
    ) -> Listing[R]:
        """One page of the collection by time of creation. Raises InvalidRequestError."""
        last = decode_cursor(cursor) if cursor else None
        rest = self._members(kind, keys.collection(workspace_id, kind.prefix, parent_id))
        if newest_first:
            rest = [item for item in reversed(rest) if last is None or item.id < last]
        else:
            rest = [item for item in rest if last is None or item.id > last]
        rest = rest[skip:]
        if len(rest) <= limit:
            return Listing(tuple(rest))
        return Listing(tuple(rest[:limit]), encode_cursor(rest[limit - 1].id))

    def browse[R: Resource](
        self,
        kind: type[R],
        workspace_id: str,
        order: Order,
        *,
        limit: int,
        after: str | None = None,
        skip: int = 0,
    ) -> Browsed[R]:
        """A part of a workspace's list of a kind that has this order."""
        _, name = keys.INDEXES[order.by]
        members = {
            order_keys(item)[name]: item
            for item in self._members(kind, keys.collection(workspace_id, kind.prefix, None))
        }
        found = sorted(members, reverse=order.descending)
        if after is not None:
            found = [key for key in found if (key < after if order.descending else key > after)]
        shown = found[skip:][:limit]
        return Browsed(
            tuple(members[key] for key in shown),
            tuple(shown),
            shown[-1] if len(found) > skip + limit else None,
            len(members) if after is None else None,
        )

    def parent_of(self, workspace_id: str, id_: str) -> str | None:
        """The parent of a resource of a kind that is found without it."""
        for (partition, sk), item in self._items.items():
            if (sk, item.workspace_id) == (id_, workspace_id) and item.found_without_parent:
                return keys.parent_in(partition)
        return None

    def find_public[R: Resource](self, kind: type[R], id_: str) -> R | None:
        """The resource behind an id in a public address, whatever its workspace."""
        found = (item for (_, sk), item in self._items.items() if sk == id_ and item.is_public)
        return next((item for item in found if isinstance(item, kind)), None)

    def commit(self, *changes: Change) -> None:
        """Apply all changes or none. Raises RevisionMismatchError or ConflictError."""
        check_size(changes)
        items = dict(self._items)
        for change in changes:
            self._apply(items, change)
        for each in relisted(changes):
            self._relist(items, each)
        self._items = items

    @staticmethod
    def _relist(items: dict[tuple[str, str], Resource], change: Relisted) -> None:
        address = (keys.collection(change.workspace_id, Flow.prefix, None), change.flow_id)
        if address not in items:
            raise ConflictError(flow_gone(change.flow_id))
        flow = items[address]
        ids = {*getattr(flow, change.field), *change.gained} - {*change.lost}
        items[address] = flow.model_copy(update={change.field: tuple(sorted(ids))})

    def _members[R: Resource](self, kind: type[R], partition: str) -> list[R]:
        items = (item for (pk, _), item in sorted(self._items.items()) if pk == partition)
        return [item for item in items if isinstance(item, kind)]

    @staticmethod
    def _apply(items: dict[tuple[str, str], Resource], change: Change) -> None:
        after = subject(change)
        partition = keys.collection(after.workspace_id, after.prefix, change.parent_id)
        address = (partition, after.id)
        there = items.get(address)
        if isinstance(change, Create) and there is not None:
            raise ConflictError(already_there(after))
        if isinstance(change, Replace | Delete) and (
            there is None or there.revision != change.before.revision
        ):
            raise RevisionMismatchError(changed_meanwhile(change.before))
        if isinstance(change, Delete):
            del items[address]
            return
        name = claimed_key(change)
        taken = any(pk == partition and item.unique_key == name for (pk, _), item in items.items())
        if name is not None and taken:
            raise ConflictError(key_taken(after))
        stored = unpack(type(after), pack(after))
        kept = {} if there is None else {name: getattr(there, name) for name in after.beside}
        items[address] = stored.model_copy(update=kept)


class MemoryRuns:
    """The `Runs` port in dictionaries."""

    def __init__(self) -> None:
        self._runs: dict[RunKey, Run] = {}
        self._deliveries: dict[tuple[str, str], tuple[RunKey, datetime]] = {}
        self._steps: dict[tuple[RunKey, int, str], StepRecord] = {}
        self._ended: list[Run] = []
        self._requests: dict[tuple[str, str, str], Run] = {}
        self._lanes: dict[LaneKey, Lane] = {}
        self._lock = RLock()

    def create(
        self,
        run: Run,
        *,
        dedupe_key: str | None = None,
        dedupe_for: timedelta = DELIVERY_MEMORY,
        lane: LaneChange | None = None,
    ) -> tuple[Run, bool]:
        """Store a new run, or give the one that already has this dedupe key."""
        with self._lock:
            known = self.delivered(run, dedupe_key)
            if known is not None:
                return known, False
            if lane is not None and not self.swap_lane(lane):
                raise LaneChangedError
            if dedupe_key is not None:
                place = (run.workspace_id, dedupe_key)
                self._deliveries[place] = (run.key, run.created_at + dedupe_for)
            self._runs[run.key] = unpack(Run, pack(run))
        if run.retry_of is not None:
            first = self.get(RunKey(run.workspace_id, run.retry_of))
            retries = tuple(sorted({*first.retries, run.id}))
            self._runs[first.key] = first.model_copy(update={"retries": retries})
        return run, True

    def delivered(self, run: Run, dedupe_key: str | None) -> Run | None:
        """The run that has this dedupe key already."""
        known = self._deliveries.get((run.workspace_id, dedupe_key or ""))
        is_known = known is not None and known[1] > run.created_at
        return self._runs[known[0]] if known is not None and is_known else None

    def lane(self, key: LaneKey) -> Lane | None:
        """A lane, if any run ever came to it."""
        return self._lanes.get(key)

    def swap_lane(self, change: LaneChange) -> bool:
        """Change a lane; False if it is not as it was read."""
        with self._lock:
            there = self._lanes.get(change.key)
            if (there and there.revision) != (change.before and change.before.revision):
                return False
            self._lanes[change.key] = unpack(Lane, pack(change.after))
            return True

    def lanes(
        self, workspace_id: str, flow_id: str | None = None, *, limit: int
    ) -> tuple[tuple[LaneKey, Lane], ...]:
        """Some of the lanes that are not empty."""
        found = [
            (key, self._lanes[key])
            for key in sorted(self._lanes)
            if key.workspace_id == workspace_id
            and flow_id in {None, key.flow_id}
            and not self._lanes[key].is_empty
        ]
        return tuple(found[:limit])

    def dequeue(self, key: RunKey, now: datetime) -> tuple[Run, bool]:
        """A run that waited for its slot begins; whether this began it."""
        with self._lock:
            before = self.get(key)
            run = self._change(key, lambda run: run_states.dequeued(run, now))
            return run, run != before

    def get(self, key: RunKey) -> Run:
        """The run without its steps. Raises NotFoundError."""
        if key not in self._runs:
            raise NotFoundError(f"there is no run {key.run_id!r}")
        return self._runs[key]

    def get_many(self, workspace_id: str, run_ids: Iterable[str]) -> tuple[Run, ...]:
        """Those of these runs that are there."""
        keys = [RunKey(workspace_id, id_) for id_ in dict.fromkeys(run_ids)]
        return tuple(self._runs[key] for key in keys if key in self._runs)

    def detail(self, key: RunKey) -> tuple[Run, tuple[StepRecord, ...]]:
        """The run with the steps of its latest attempt. Raises NotFoundError."""
        run = self.get(key)
        return run, self.steps(key, run.attempt)

    def steps(self, key: RunKey, attempt: int | None) -> tuple[StepRecord, ...]:
        """The step records of an attempt, or of all, in the order in which they started."""
        found = (
            record
            for (run, number, _), record in self._steps.items()
            if run == key and attempt in {None, number}
        )
        return tuple(sorted(found, key=lambda record: (record.started_at, record.step_id)))

    def step(self, key: RunKey, attempt: int, step_id: str) -> StepRecord | None:
        """The record of one step, if it has begun."""
        return self._steps.get((key, attempt, step_id))

    def page(
        self,
        workspace_id: str,
        flow_id: str | None = None,
        *,
        where: RunFilter = ANY_RUN,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Listing[Run]:
        """The runs of a flow, or of a workspace, newest first."""
        before = decode_cursor(cursor) if cursor else "~"
        theirs = {
            position: run
            for run in self._runs.values()
            if run.workspace_id == workspace_id
            and flow_id in {None, run.flow_id}
            and RunFilter(
                created_after=where.created_after, created_before=where.created_before
            ).admits(run)
            and (position := time_key(run.created_at, run.id)) < before
        }
        walk = sorted(theirs, reverse=True)
        looked_at = walk if where.is_of_time_only else walk[: limits.WALKED_ITEMS]
        found = [position for position in looked_at if where.admits(theirs[position])]
        shown = tuple(theirs[position] for position in found[:limit])
        if len(found) > limit:
            return Listing(shown, encode_cursor(found[limit - 1]))
        return Listing(shown, encode_cursor(looked_at[-1]) if len(walk) > len(looked_at) else None)

    def unfinished(self, created_before: datetime) -> tuple[Run, ...]:
        """Runs of all workspaces that were created before then and are not over."""
        return tuple(
            run
            for run in self._runs.values()
            if not run.is_settled and run.created_at < created_before
        )

    def unfinished_of(self, workspace_id: str, flow_id: str) -> tuple[Run, ...]:
        """A flow's runs that are not over."""
        return tuple(
            run
            for run in self._runs.values()
            if (run.workspace_id, run.flow_id) == (workspace_id, flow_id)
            and not run.status.is_terminal
        )

    def claim_step(self, run: Run, step_id: str, now: datetime) -> StepRecord:
        """Begin a step, or take up one that was interrupted."""
        key, attempt = run.key, run.attempt
        run_states.check_attempt(run, attempt)
        record = self.step(key, attempt, step_id)
        if record is None:
            record = StepRecord.begun(step_id, attempt, now)
        elif not record.status.is_terminal:
            record = record.model_copy(
                update={"tries": record.tries + 1, "status": StepStatus.RUNNING}
            )
        self._steps[key, attempt, step_id] = record
        return record

    def save_step(self, key: RunKey, record: StepRecord) -> StepRecord:
        """Write how far a try of a step is, or its result."""
        there = self.step(key, record.attempt, record.step_id)
        if there is not None and there.status.is_terminal:
            return there
        if there is None or there.tries != record.tries:
            raise ConflictError(f"another try of step {record.step_id!r} took over")
        self._steps[key, record.attempt, record.step_id] = unpack(StepRecord, pack(record))
        return record

    def write_steps(
        self, key: RunKey, fresh: Sequence[StepRecord], result: StepRecord | None = None
    ) -> bool:
        """Write records of steps that have none, and perhaps the result of a step at work."""
        if any(self.step(key, each.attempt, each.step_id) is not None for each in fresh):
            return False
        if result is not None:
            try:
                if self.save_step(key, result) is not result:
                    return False
            except ConflictError:
                return False
        for each in fresh:
            self._steps[key, each.attempt, each.step_id] = unpack(StepRecord, pack(each))
        return True

    def finish(
        self,
        key: RunKey,
        outcome: RunOutcome,
        now: datetime,
        *,
        seen: Run | None = None,  # noqa: ARG002 - a read costs nothing here
        fresh: Sequence[StepRecord] = (),
    ) -> Run:
        """Write the run's terminal status and count the run, both exactly once."""
        with self._lock:
            if not self.get(key).status.is_terminal and not self.write_steps(key, fresh):
                raise ConflictError("another invocation wrote of the run's steps")
            return self._end(key, lambda run: run_states.finished(run, outcome, now))

    def supersede(self, key: RunKey, by: str, outcome: RunOutcome, now: datetime) -> Run:
        """End a run that waits for its next attempt in favour of a newer one; both say so."""
        run = self._end(key, lambda run: run_states.superseded(run, by, outcome, now))
        if run.superseded_by == by:
            newer = self.get(RunKey(key.workspace_id, by))
            named = tuple(sorted({*newer.supersedes, run.id}))
            self._runs[newer.key] = newer.model_copy(update={"supersedes": named})
        return run

    def note_followed(self, key: RunKey, what: Followed) -> Run:
        """Note once what followed the end of a run; nothing is to follow it any more."""
        return self._change(key, lambda run: run_states.followed(run, what))

    def take_place(self, run: Run) -> str | None:
        """Note a run as the latest for its request; the run whose place it took."""
        if run.unique_request_id is None:
            return None
        place = (run.workspace_id, run.flow_id, run.unique_request_id)
        there = self._requests.get(place)
        if run.retry_of is not None:
            is_next = there is not None and there.id == run.retry_of
        else:
            is_next = there is None or (there.created_at, there.id) < (run.created_at, run.id)
        if is_next:
            self._requests[place] = run
        return there.id if is_next and there is not None else None

    def latest_for_request(self, run: Run) -> str | None:
        """The id of the latest run for the same request."""
        place = (run.workspace_id, run.flow_id, run.unique_request_id or "")
        return self._requests[place].id if place in self._requests else None

    def _end(self, key: RunKey, change: run_states.Transition) -> Run:
        with self._lock:
            was_over = self.get(key).status.is_terminal
            run = self._change(key, change)
            if run.status.is_terminal and not was_over:
                self._ended.append(run)
            return run

    def counted(
        self, workspace_id: str, flow_id: str, grain: Grain, start: datetime, end: datetime
    ) -> tuple[Counted, ...]:
        """What was counted of a flow's runs in the hours or days from `start` to before `end`."""
        found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for run in self._ended:
            time = grain_of(grain, run.ended_at or run.created_at)
            is_theirs = (run.workspace_id, run.flow_id) == (workspace_id, flow_id)
            if is_theirs and grain_of(grain, start) <= time < grain_of(grain, end):
                found[time, run.version_id].update(counters_of(run))
        return tuple(Counted(*place, found[place]) for place in sorted(found))

    def plan_retry(self, key: RunKey, attempt: int, error: RunError, now: datetime) -> Run:
        """End an attempt that failed and make the run wait for its next one, once per attempt."""
        return self._change(key, lambda run: run_states.retry_planned(run, attempt, error, now))

    def begin_attempt(self, key: RunKey, attempt: int, now: datetime) -> Run:
        """The next attempt starts running, once."""
        return self._change(key, lambda run: run_states.attempt_begun(run, attempt, now))

    def _change(self, key: RunKey, change: run_states.Transition) -> Run:
        with self._lock:
            self._runs[key] = change(self.get(key))
            return self._runs[key]


class MemoryBlobs:
    """The `Blobs` port in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        """Store bytes under a key."""
        self.objects[key] = data

    def get(self, key: str) -> bytes:
        """The bytes under a key. Raises NotFoundError."""
        if key not in self.objects:
            raise NotFoundError(f"there is nothing stored under {key!r}")
        return self.objects[key]

    def delete(self, key: str) -> None:
        """Forget the bytes if they are there."""
        self.objects.pop(key, None)

    def url(self, key: str, expires_seconds: int, file_name: str) -> str:
        """An address of the form of S3's; nothing answers there."""
        query = urlencode({"X-Amz-Expires": expires_seconds, "file": file_name})
        return f"https://blobs.invalid/{quote(key)}?{query}"


def scratch() -> Scratch:
    """Stores for once."""
    return Scratch(MemoryRuns(), MemoryBlobs(), MemoryFailedRecords())


class MemorySecrets:
    """The `Secrets` port in a dictionary."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, str]] = {}

    def put(self, key: str, values: dict[str, str]) -> None:
        """Store a set of secrets under a new key."""
        self.values[key] = dict(values)

    def get(self, key: str) -> dict[str, str]:
        """A set of secrets. Raises NotFoundError."""
        if key not in self.values:
            raise NotFoundError("the secrets are gone; set them again")
        return dict(self.values[key])

    def delete(self, key: str) -> None:
        """Forget a set of secrets if it is there."""
        self.values.pop(key, None)


class MemoryMachines:
    """The `Machines` port without an interpreter: it remembers what was deployed and started."""

    def __init__(self) -> None:
        self.deployed: dict[str, tuple[str, str]] = {}
        self.started: dict[tuple[str, str], dict[str, Any]] = {}
        self.outcomes: dict[tuple[str, str], str] = {}
        self.ended_tasks: dict[str, StepError | None] = {}
        self.on_run: Callable[[dict[str, Any]], Ended | None] = lambda _: None

    def deploy(self, name: str, asl: str, kind: MachineKind) -> str:
        """Remember the machine; its name serves as ARN."""
        self.deployed[name] = (asl, kind)
        return name

    def start(self, machine_arn: str, name: str, data: dict[str, Any]) -> None:
        """Remember the execution; one of that name that was already started is left alone."""
        if machine_arn not in self.deployed:
            raise ConflictError("the state machine of the version is gone; deploy it")
        if self.started.setdefault((machine_arn, name), data) is data:
            self.outcomes[machine_arn, name] = "RUNNING"

    def run(self, machine_arn: str, name: str, data: dict[str, Any]) -> Ended | None:
        """Start the execution, and have the test say how it ends."""
        self.start(machine_arn, name, data)
        return self.on_run(data)

    def outcome(self, machine_arn: str, name: str) -> str | None:
        """What a test says of the execution; RUNNING when it was started."""
        return self.outcomes.get((machine_arn, name))

    def stop(self, machine_arn: str, name: str) -> None:
        """Remember that a running execution was stopped."""
        if self.outcome(machine_arn, name) == "RUNNING":
            self.outcomes[machine_arn, name] = "ABORTED"

    def delete(self, machine_arn: str) -> None:
        """Forget the machine."""
        self.deployed.pop(machine_arn, None)

    def end_task(self, token: str, error: StepError | None = None) -> None:
        """Remember what the first one says of a token; whatever comes later is too late."""
        self.ended_tasks.setdefault(token, error)


class MemoryQueues:
    """The `Queues` port in a set; nothing is received."""

    def __init__(self, prefix: str = "millrace-data-") -> None:
        self.prefix = prefix
        self.missing: set[str] = set()
        self.connected: set[str] = set()

    def connect(self, name: str) -> None:
        """Remember the queue, unless a test says that it is missing."""
        if name in self.missing:
            raise ConflictError(f"queue {name!r} cannot be read: it does not exist")
        self.connected.add(name)

    def disconnect(self, name: str) -> None:
        """Forget it."""
        self.connected.discard(name)


class MemoryNotifications:
    """The `Notifications` port in a dictionary; nothing is delivered."""

    def __init__(self) -> None:
        self.started: dict[str, Notification] = {}

    def start(self, note: Notification) -> None:
        """Remember the notification; one of that id is left alone."""
        self.started.setdefault(note.id, note)


class MemorySchedules:
    """The `Schedules` port in a dictionary; nothing fires."""

    def __init__(self) -> None:
        self.schedules: dict[str, Schedule] = {}

    def put(self, schedule: Schedule) -> None:
        """Remember the schedule."""
        self.schedules[schedule.name] = schedule

    def names(self, beginning: str) -> tuple[str, ...]:
        """The names that begin so."""
        return tuple(name for name in self.schedules if name.startswith(beginning))

    def delete(self, name: str) -> None:
        """Forget the schedule."""
        self.schedules.pop(name, None)

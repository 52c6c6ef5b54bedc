"""What the use cases need from the outside world, in domain words.

Each port has an adapter for AWS and one in memory; both pass the same contract tests.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from millrace import limits
from millrace.domain.action import ExportAction, ImportAction, ProcessAction
from millrace.domain.base import Clock, Json, Record
from millrace.domain.flow import Flow, MachineKind
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
)

if TYPE_CHECKING:
    # Everything imports the ports, and few requests need these.
    from millrace.domain.batch_lookup import Key
    from millrace.domain.connection import Connection, PingMethod
    from millrace.domain.data_pool import DataPool
    from millrace.domain.delta import DeltaWindow
    from millrace.domain.errors import StepError
    from millrace.domain.failed_record import FailedRecord
    from millrace.domain.lane import Lane, LaneChange
    from millrace.domain.metrics import Counted, Grain
    from millrace.domain.notification import Notification
    from millrace.domain.notification_group import NotificationTarget
    from millrace.domain.pace import Pace
    from millrace.domain.pool_entries import Claim, PoolEntry
    from millrace.domain.records import Batch, ExportPage, Origin, Rest, Written
    from millrace.domain.run_values import RunValues, TemplateKind

DELIVERY_MEMORY: Final = timedelta(days=limits.DELIVERY_MEMORY_DAYS)
"""How long a dedupe key is remembered, unless it is said."""


@dataclass(frozen=True, slots=True)
class Create:
    """Store a new resource; fails if its id exists, or its stable key within its collection."""

    resource: Resource
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Replace:
    """Store a changed resource; fails if `before` is not what is there."""

    before: Resource
    after: Resource
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a resource; fails if `before` is not what is there."""

    before: Resource
    parent_id: str | None = None
    parent_is_gone: bool = False
    """The flow that listed it was deleted before."""


@dataclass(frozen=True, slots=True)
class Put:
    """Store a resource whatever is there; another change of the same commit guards it."""

    resource: Resource
    parent_id: str | None = None


type Change = Create | Replace | Delete | Put


@dataclass(frozen=True, slots=True)
class Ref[R: Resource]:
    """Where a resource is."""

    kind: type[R]
    id: str
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class KeyRef[R: Resource]:
    """Which stable key a resource has, and in which collection."""

    kind: type[R]
    stable_key: str
    parent_id: str | None = None


class Found:
    """What was there of several resources read at once."""

    def __init__(self, by_ref: Mapping[Ref[Any] | KeyRef[Any], Resource]) -> None:
        self._by_ref = by_ref

    def get[R: Resource](self, ref: Ref[R] | KeyRef[R]) -> R | None:
        """The resource, if there is one."""
        found = self._by_ref.get(ref)
        return found if isinstance(found, ref.kind) else None


type OrderName = Literal["createdAt", "name", "enabledAt", "lastExecutedAt"]


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list. What never was comes before what was at any time."""

    by: OrderName = "createdAt"
    descending: bool = False

    def __str__(self) -> str:
        """As a caller writes it."""
        return f"{'-' if self.descending else ''}{self.by}"


@dataclass(frozen=True, slots=True)
class Browsed[R]:
    """A part of a list in some order."""

    items: tuple[R, ...]
    positions: tuple[str, ...]
    """One for each item."""

    last: str | None = None
    """The position after which more follow; None: this is the end."""

    total: int | None = None
    """How many the whole list has; known where it begins, or where some were skipped."""


@dataclass(frozen=True, slots=True)
class Listing[R]:
    """One page of a list, oldest first, and the cursor of the next page if there is one."""

    items: tuple[R, ...]
    cursor: str | None = None


class Resources(Protocol):
    """The editable resources of a workspace.

    A resource lives in the collection of its type, or of its type under a parent (the versions of
    a flow). A stable key is unique in its collection. Reads are strongly consistent.
    """

    def get[R: Resource](
        self, kind: type[R], workspace_id: str, id_: str, *, parent_id: str | None = None
    ) -> R:
        """The resource. Raises NotFoundError."""
        ...

    def get_many(self, workspace_id: str, refs: Iterable[Ref[Any]]) -> Found:
        """Several resources in one read (one for each 100); what is not there is left out."""
        ...

    def find[R: Resource](
        self, kind: type[R], workspace_id: str, stable_key: str, *, parent_id: str | None = None
    ) -> R | None:
        """The resource of the collection that has this stable key, if there is one."""
        ...

    def find_many(self, workspace_id: str, refs: Iterable[KeyRef[Any]]) -> Found:
        """Several resources by stable key in two reads (two for each 100)."""
        ...

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
        """One page of the collection by time of creation. Raises InvalidRequestError.

        Some can be skipped where it begins, if the kind has this order.
        """
        ...

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
        """A part of a workspace's list, after a position or the beginning, and some to skip.

        The kind must have this order.
        """
        ...

    def parent_of(self, workspace_id: str, id_: str) -> str | None:
        """The parent of a resource of a kind that is found without it; a moment behind."""
        ...

    def find_public[R: Resource](self, kind: type[R], id_: str) -> R | None:
        """The resource behind an id in a public address, whatever its workspace."""
        ...

    def commit(self, *changes: Change) -> None:
        """Apply all changes or none.

        Raises:
            RevisionMismatchError: a replaced or deleted resource changed meanwhile.
            ConflictError: an id or a stable key exists already, or the flow that would list a
                new resource is gone.
        """
        ...

    def record_run(self, workspace_id: str, flow_id: str, run: LatestRun) -> None:
        """Remember the latest run of a flow and of its version, unless a later one is known.

        Raises UnavailableError if that cannot be written now.
        """
        ...

    def unsettled(self, changed_before: datetime) -> tuple[Flow, ...]:
        """Some flows of all workspaces of whose change nobody said since that it was followed."""
        ...

    def settle(self, flow: Flow) -> None:
        """Note that what follows the change of a flow was done, unless it changed again.

        Raises UnavailableError if that cannot be written now.
        """
        ...

    def record_use(self, workspace_id: str, token_id: str, at: datetime, since: datetime) -> None:
        """Remember when a token was last used, unless a use after `since` is known.

        Raises UnavailableError if that cannot be written now.
        """
        ...

    def latest_runs(
        self, workspace_id: str, versions: Iterable[tuple[str, str]]
    ) -> Mapping[str, LatestRun]:
        """The latest runs of versions, by version id, that are not their flow's latest run.

        `versions` are pairs of flow id and version id; one read for each 100.
        """
        ...


class Runs(Protocol):
    """The record of runs. Every write is conditional, so a repeated one changes nothing."""

    def create(
        self,
        run: Run,
        *,
        dedupe_key: str | None = None,
        dedupe_for: timedelta = DELIVERY_MEMORY,
        lane: "LaneChange | None" = None,
    ) -> tuple[Run, bool]:
        """Store a new run, or give the one that already has this dedupe key.

        The key is forgotten after a while. The run that it repeats, if it repeats one, must be
        over, and names it from now on. Its lane changes with it or not at all: raises
        LaneChangedError if it is not as it was read. Returns the run, and whether it is new.
        """
        ...

    def delivered(self, run: Run, dedupe_key: str | None) -> Run | None:
        """The run that `create` would give for this dedupe key instead of the new one."""
        ...

    def lane(self, key: LaneKey) -> "Lane | None":
        """A lane, if any run came to it of late; strongly consistent."""
        ...

    def swap_lane(self, change: "LaneChange") -> bool:
        """Change a lane; False if it is not as it was read."""
        ...

    def lanes(
        self, workspace_id: str, flow_id: str | None = None, *, limit: int
    ) -> "tuple[tuple[LaneKey, Lane], ...]":
        """Some of the lanes that are not empty, of a workspace (a moment behind) or of a flow."""
        ...

    def dequeue(self, key: RunKey, now: datetime) -> tuple[Run, bool]:
        """A run that waited for its slot begins; the run as it is, and whether this began it."""
        ...

    def get(self, key: RunKey) -> Run:
        """The run without its steps. Raises NotFoundError."""
        ...

    def get_many(self, workspace_id: str, run_ids: Iterable[str]) -> tuple[Run, ...]:
        """Those of these runs that are there, in one read for each 100."""
        ...

    def detail(self, key: RunKey) -> tuple[Run, tuple[StepRecord, ...]]:
        """The run with the steps of its latest attempt, in one read. Raises NotFoundError."""
        ...

    def steps(self, key: RunKey, attempt: int | None) -> tuple[StepRecord, ...]:
        """The step records of an attempt, or of all, in the order in which they started."""
        ...

    def step(self, key: RunKey, attempt: int, step_id: str) -> StepRecord | None:
        """The record of one step, if it has begun."""
        ...

    def page(
        self,
        workspace_id: str,
        flow_id: str | None = None,
        *,
        where: RunFilter = ANY_RUN,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Listing[Run]:
        """The runs of a flow, or of a workspace, newest first; a workspace's a moment behind.

        A filter looks at `limits.WALKED_ITEMS` runs at most, so a page that more follow may be
        short, even empty. Raises InvalidRequestError for a cursor that no list gave.
        """
        ...

    def unfinished(self, created_before: datetime) -> tuple[Run, ...]:
        """Runs of all workspaces that were created before then and are not over.

        So are those whose end something is still to follow.
        """
        ...

    def unfinished_of(self, workspace_id: str, flow_id: str) -> tuple[Run, ...]:
        """A flow's runs that are not over; one that began this moment may be left out."""
        ...

    def claim_step(self, run: "Run", step_id: str, now: datetime) -> StepRecord:
        """Begin a step of a run as it was read just now, or take up one that was interrupted.

        A step that is over is returned as it is; otherwise its tries go up by one and its status
        becomes running. Raises ConflictError if the run is over.
        """
        ...

    def save_step(self, key: RunKey, record: StepRecord) -> StepRecord:
        """Write how far a try of a step is, or its result.

        A result that is there already stays and is returned. Raises ConflictError if another try
        took over.
        """
        ...

    def write_steps(
        self, key: RunKey, fresh: Sequence[StepRecord], result: StepRecord | None = None
    ) -> bool:
        """Write records of steps that have none, and perhaps the result of a step at work, at once.

        False if one of the first has a record by now, the step its result, or another try it: then
        nothing is written.
        """
        ...

    def finish(
        self,
        key: RunKey,
        outcome: RunOutcome,
        now: datetime,
        *,
        seen: "Run | None" = None,
        fresh: Sequence[StepRecord] = (),
    ) -> Run:
        """Write the run's terminal status and count the run, both exactly once.

        The run as it was seen a moment ago saves a read. Records of steps that have none are
        written along with it; raises ConflictError if one has by now.
        A run that is over already stays and is returned. Raises UnavailableError if so many runs
        of the flow end that this one cannot be counted now; it can be told again.
        """
        ...

    def counted(
        self, workspace_id: str, flow_id: str, grain: "Grain", start: datetime, end: datetime
    ) -> "tuple[Counted, ...]":
        """What was counted of a flow's runs in the hours or days from `start` to before `end`."""
        ...

    def plan_retry(self, key: RunKey, attempt: int, error: RunError, now: datetime) -> Run:
        """End an attempt that failed and make the run wait for its next one, once per attempt."""
        ...

    def begin_attempt(self, key: RunKey, attempt: int, now: datetime) -> Run:
        """The next attempt starts running, once."""
        ...

    def note_followed(self, key: RunKey, what: Followed) -> Run:
        """Note once what followed the end of a run; nothing is to follow it any more."""
        ...

    def take_place(self, run: Run) -> str | None:
        """Note a run as the latest for its unique request id, unless a newer one is.

        A run that repeats another takes no place but that one's. Gives the id of the run whose
        place it took, if it took one.
        """
        ...

    def latest_for_request(self, run: Run) -> str | None:
        """The id of the latest run for the same unique request id, if any is noted."""
        ...

    def supersede(self, key: RunKey, by: str, outcome: RunOutcome, now: datetime) -> Run:
        """End a run that waits for its next attempt, as `finish` does, in favour of a newer run.

        Each names the other from then on. A run that does not wait stays and is returned.
        """
        ...


class FailedRecords(Protocol):
    """The record errors of flows. Reads are strongly consistent."""

    def put(self, entries: "Sequence[FailedRecord]") -> None:
        """Note records that failed, in place of what is there under their ids."""
        ...

    def get_many(
        self, workspace_id: str, flow_id: str, ids: Iterable[str]
    ) -> "dict[str, FailedRecord]":
        """Those of these errors that are there, by id."""
        ...

    def page(
        self,
        workspace_id: str,
        flow_id: str,
        *,
        resolved: bool = False,
        step_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> "Listing[FailedRecord]":
        """One page of a flow's or a step's errors: by step, those of the newest runs first.

        Raises InvalidRequestError for a cursor that is not ours.
        """
        ...

    def change(
        self,
        workspace_id: str,
        flow_id: str,
        ids: Iterable[str],
        change: "Callable[[FailedRecord], FailedRecord]",
    ) -> "dict[str, FailedRecord]":
        """Replace those that are there by what `change` makes of each; what they are now.

        It gives an entry of the next revision, or the entry itself to leave it alone, and may be
        asked again if an entry changed meanwhile.
        """
        ...

    def open_trace_keys(
        self, workspace_id: str, flow_id: str, step_id: str
    ) -> dict[str, tuple[str, ...]]:
        """The trace keys of a step's open errors, and the ids of those that have each."""
        ...

    def drop_attempt(self, run: Run, step_id: str, attempt: int) -> None:
        """Forget what a step of a run noted up to an attempt: the next takes every record again."""
        ...


class Paces(Protocol):
    """How fast the workers of each connection may go. Reads are strongly consistent."""

    def read(self, workspace_id: str, connection_id: str) -> "Pace | None":
        """What its workers told each other, if they did of late. Raises UnavailableError."""
        ...

    def swap(
        self, workspace_id: str, connection_id: str, before: "Pace | None", after: "Pace"
    ) -> "Pace | None":
        """Put `after` in the place of `before`, if that is what is there.

        Returns what is there then: `after`, or what another worker wrote or nobody. Raises
        UnavailableError, after which it may have been put there or not.
        """
        ...


class Blobs(Protocol):
    """Payloads and output pages too large for the table."""

    def put(self, key: str, data: bytes) -> None:
        """Store bytes under a key; the same key and bytes may be stored again."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes under a key. Raises NotFoundError."""
        ...

    def delete(self, key: str) -> None:
        """Forget the bytes if they are there."""
        ...

    def url(self, key: str, expires_seconds: int, file_name: str) -> str:
        """An address that gives whoever has it the bytes as a file, until it expires."""
        ...


@dataclass(frozen=True, slots=True)
class Scratch:
    """Stores that nobody else looks into, gone when they are let go."""

    runs: Runs
    blobs: Blobs
    failed_records: FailedRecords


class Secrets(Protocol):
    """Write-only values of resources, such as a connection's token.

    A set of secrets is immutable: a change is stored under a new key, and the resource names the
    key that counts. So a change that fails half way leaves the old secrets in force.
    """

    def put(self, key: str, values: dict[str, str]) -> None:
        """Store a set of secrets under a new key."""
        ...

    def get(self, key: str) -> dict[str, str]:
        """A set of secrets. Raises NotFoundError."""
        ...

    def delete(self, key: str) -> None:
        """Forget a set of secrets if it is there."""
        ...


class Ended(NamedTuple):
    """How an execution ended."""

    status: str
    """In Step Functions' words."""

    output: Mapping[str, Any] = MappingProxyType({})


class Machines(Protocol):
    """The state machines that run versions."""

    def deploy(self, name: str, asl: str, kind: MachineKind) -> str:
        """Create the machine or bring it up to this definition; its ARN.

        The kind cannot change once the machine is there.
        """
        ...

    def start(self, machine_arn: str, name: str, data: dict[str, Json]) -> None:
        """Start an execution; one of that name that was already started is left alone.

        Raises ConflictError if the machine is gone, UnavailableError if it cannot be started now.
        """
        ...

    def run(self, machine_arn: str, name: str, data: dict[str, Json]) -> Ended | None:
        """Start an execution of an EXPRESS machine and wait for its outcome.

        None if that is not known within `limits.RUN_WAIT_SECONDS`. Each call starts an execution,
        whatever its name. Raises ConflictError if the machine is gone, UnavailableError if it
        surely was not started.
        """
        ...

    def outcome(self, machine_arn: str, name: str) -> str | None:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED; None if there is no such execution."""
        ...

    def stop(self, machine_arn: str, name: str) -> None:
        """Stop an execution; one that is over, or never was, is left alone.

        Raises UnavailableError if it cannot be stopped now.
        """
        ...

    def delete(self, machine_arn: str) -> None:
        """Delete a machine; running executions end first."""
        ...

    def end_task(self, token: str, error: "StepError | None" = None) -> None:
        """Tell the execution that waits with this token to go on, or with what its step failed.

        A token that nobody waits with any more is left alone. Raises UnavailableError if Step
        Functions cannot be told now.
        """
        ...


class Exporter(Protocol):
    """Reads the records of one export."""

    def pages(self, cursor: Json) -> "Iterator[ExportPage]":
        """Page by page from a page's `next_cursor`, or from the start for None.

        Raises StepFailed, StepTransient or StepThrottled.
        """
        ...


class Importer(Protocol):
    """Writes the records of one import."""

    @property
    def batch_size(self) -> int:
        """Records to give to one call of `write`, at most."""
        ...

    def write(self, records: Sequence[Record], origins: "Sequence[Origin]") -> "Written":
        """Send records together; `origins` tells where each came from.

        Raises StepFailed, StepTransient or StepThrottled.
        """
        ...


class Process(Protocol):
    """Applies operations to records as they stream by."""

    @property
    def batch_size(self) -> int:
        """Records to give to one call of `feed`, at most."""
        ...

    def feed(self, records: Sequence[Record], origins: "Sequence[Origin]") -> "Batch":
        """What comes out for these records so far; `origins` is where each came from.

        Raises StepFailed, StepTransient or StepThrottled, and then the process is of no more use.
        """
        ...

    def finish(self, done: int) -> "Iterator[Rest]":
        """What comes out once there are no more, without the first `done` parts of it.

        Raises as `feed` does.
        """
        ...

    def state(self) -> Json:
        """What to remember at a checkpoint, beside what was kept of each batch."""
        ...

    def restore(self, state: Json, kept: Iterable[Json]) -> None:
        """Go on from a remembered state, and what was kept of all batches until then."""
        ...


class PoolEntries(Protocol):
    """The keys that data pools remember; one whose time is over is not there."""

    def get_many(
        self, workspace_id: str, pool_id: str, keys: Iterable[str], now: datetime
    ) -> "dict[str, PoolEntry]":
        """Those of these keys that the pool remembers."""
        ...

    def claim(
        self, workspace_id: str, pool_id: str, entries: "Sequence[PoolEntry]", now: datetime
    ) -> "dict[str, Claim]":
        """Remember keys, each unless an entry is there that this one doubles; whose each is now.

        No two entries may have the same key. Raises UnavailableError if others are always faster.
        """
        ...

    def put(self, workspace_id: str, pool_id: str, entries: "Sequence[PoolEntry]") -> None:
        """Remember keys and their values in place of what is there; the last word counts."""
        ...


class Functions(Protocol):
    """The functions that users bring along."""

    def invoke(self, arn: str, payload: bytes, seconds: float = limits.FUNCTION_SECONDS) -> bytes:
        """Call a function and wait for its answer, so long at most, in whole seconds.

        Raises StepFailed if it cannot be called or fails, StepTransient if it may work later.
        """
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a process runs, and what its operations may reach from there."""

    workspace_id: str
    run_id: str
    attempt: int
    step_id: str
    pools: "Mapping[str, DataPool]"
    """By the ids that operations name; which pool that is, the run's virtual environment says."""
    values: "RunValues"
    entries: PoolEntries
    functions: Functions
    clock: Clock
    first_run: Callable[[str], str]
    """The run that a run repeats: what was done there counts as done by that run."""
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Unsent:
    """A request that an import would send, without credentials."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """What became of a ping: the answer's status, and what is wrong if anything is."""

    status: int | None
    code: str | None = None
    message: str | None = None


class Connectors(Protocol):
    """What actions do."""

    def check_address(self, workspace_id: str, url: str) -> str | None:
        """Why requests of a workspace may not be sent to an address, if that shows already."""
        ...

    def check_expression(self, expression: str) -> str | None:
        """What is wrong with an expression, if anything."""
        ...

    def check_template(self, kind: "TemplateKind", text: str) -> str | None:
        """What is wrong with a text of an action that may hold expressions, if anything."""
        ...

    def matches(self, expression: str, record: Record, values: "RunValues") -> bool:
        """Whether a filter lets a record through. Raises RecordError if it cannot say."""
        ...

    def evaluate(self, expression: str, record: Record) -> Json:
        """An expression's value on a record. Raises RecordError if it has none."""
        ...

    def lookup_key(self, record: Record, pointer: str) -> "Key":
        """What a record is looked up by. Raises RecordError if there is nothing of the kind."""
        ...

    def exporter(
        self,
        work: ExportAction,
        connection: "Connection",
        secrets: Mapping[str, str],
        values: "RunValues",
    ) -> Exporter:
        """The reader of an export, its templates filled in. Raises StepFailed if they cannot be."""
        ...

    def reader(
        self,
        work: ExportAction,
        payload: Callable[[], Json],
        window: "DeltaWindow | None",
        values: "RunValues",
    ) -> Exporter:
        """The reader of an export that needs no connection: of objects, or of the run's payload.

        Of objects those that changed in the window, if there is one. Raises StepFailed.
        """
        ...

    def importer(
        self,
        work: ImportAction,
        connection: "Connection | None",
        secrets: Mapping[str, str],
        values: "RunValues",
        request_key: "Callable[[Origin, bytes], str]",
    ) -> Importer:
        """The writer of an import, over a connection or by the worker's own role.

        Its templates are filled in. Raises StepFailed if they cannot be.

        `request_key` names a request by its origin and body.
        """
        ...

    def check_schema(self, schema: Json) -> list[tuple[str, str]]:
        """What is wrong with a JSON Schema: the JSON pointers into it, and what it is there."""
        ...

    def process(self, work: ProcessAction, surroundings: Surroundings) -> Process:
        """The operations of a process."""
        ...

    def sampler(
        self,
        work: ExportAction,
        connection: "Connection",
        secrets: Mapping[str, str],
        values: "RunValues",
        seconds: float,
        hide: Callable[[Iterable[str]], None],
    ) -> Exporter:
        """A reader for tests: it asks once for each page, and waits so long for it.

        `hide` is told the texts that may not be shown if the other system repeats them.
        """
        ...

    def preview(
        self,
        work: ImportAction,
        connection: "Connection | None",
        values: "RunValues",
        request_key: "Callable[[Origin, bytes], str]",
        note: Callable[[Unsent], None],
        hide: Callable[[Iterable[str]], None],
    ) -> Importer:
        """A writer for tests: it sends nothing, and tells `note` what it would send.

        `hide` is told the texts in it that may not be shown; the credentials are not in it.
        """
        ...

    def ping(
        self, connection: "Connection", secrets: Mapping[str, str], method: "PingMethod", path: str
    ) -> Pong:
        """Send one request with the connection's credentials, within `limits.PING_SECONDS`."""
        ...

    def let_go(self) -> None:
        """Give back what readers and writers made so far hold of their connections."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """What a target is told."""

    id: str
    workspace_id: str
    at: datetime
    title: str
    body: Mapping[str, Json]
    secret: str | None = field(default=None, repr=False)
    """What it is signed with, if it is posted."""


class Undelivered(Exception):  # noqa: N818 - named for the message, not for a fault of ours
    """A target was not reached; it may be later, unless it is `gone`."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.gone = gone


class Messenger(Protocol):
    """Carries messages to targets."""

    def send(self, target: "NotificationTarget", message: Message) -> None:
        """Tell a target, with one try. Raises Undelivered."""
        ...


class Notifications(Protocol):
    """Notifications on their way, each waiting between its tries for nothing."""

    def start(self, note: "Notification") -> None:
        """Begin to deliver; one of that id that was begun already is left alone.

        Raises UnavailableError if it cannot be begun now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that fires the trigger function with `data` as its event."""

    name: str
    expression: str
    timezone: str
    data: dict[str, Json]
    start: datetime | None = None
    end: datetime | None = None


class Queues(Protocol):
    """The queues of the account whose messages may start runs."""

    @property
    def prefix(self) -> str:
        """What the names of those begin with that flows may name."""
        ...

    def connect(self, name: str) -> None:
        """Have messages of the queue come to the trigger function; it may be so already.

        Raises ConflictError, in words, if the queue is not there or cannot be read so, and
        UnavailableError if it may work later.
        """
        ...

    def disconnect(self, name: str) -> None:
        """Have no more come; what is in the queue stays. Raises UnavailableError."""
        ...


class Schedules(Protocol):
    """The schedules that start runs. Each call raises UnavailableError if it may work later."""

    def put(self, schedule: Schedule) -> None:
        """Create the schedule, or change the one of that name."""
        ...

    def names(self, beginning: str) -> tuple[str, ...]:
        """The names that begin so, of the schedules that are there."""
        ...

    def delete(self, name: str) -> None:
        """Remove the schedule if it is there."""
        ...

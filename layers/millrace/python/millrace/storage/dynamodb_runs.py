"""Runs and their steps in DynamoDB.

A run is one item and each of its steps another, in one partition. Every write names the state that
it expects, so a repeated or late one changes nothing:

    step:  (none) --claim--> running, tries 1 --claim--> running, tries 2 --save--> succeeded
    a save by try 1 after the second claim fails; a claim after the result returns the result
    run:   running --plan_retry--> retrying --begin_attempt--> running --finish--> terminal
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from millrace import limits
from millrace.domain import run_states
from millrace.domain.base import rfc3339
from millrace.domain.errors import ConflictError, NotFoundError, UnavailableError
from millrace.domain.metrics import Counted, Grain, grain_of
from millrace.domain.ports import DELIVERY_MEMORY, Listing
from millrace.domain.run import (
    ANY_RUN,
    Followed,
    LaneKey,
    Run,
    RunError,
    RunFilter,
    RunKey,
    RunOutcome,
    StepRecord,
    StepStatus,
)
from millrace.storage import keys
from millrace.storage.attributes import Attributes, attributes, data, number, text
from millrace.storage.batches import MAY_PASS, read_items, wait
from millrace.storage.codec import pack, unpack
from millrace.storage.counters import additions, counted_of
from millrace.storage.orders import time_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.exceptions import ClientError
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import PutTypeDef, TransactWriteItemTypeDef

    from millrace.domain.lane import Lane, LaneChange
    from millrace.storage.run_lists import RunIndex

_STEP_IS_OPEN = "(attribute_not_exists(pk) OR #status IN (:running, :retrying))"
_BESIDE: Final = ("retries", "supersedes")
"""Lists of runs that others add to, so they are kept as sets beside the packed run."""

_CREATE_TRIES: Final = 5
_OF_OTHERS: Final = {"None", "ConditionalCheckFailed", "TransactionConflict"}
"""Why a transaction is cancelled when others write of the same items."""

_OPEN = {":running": StepStatus.RUNNING.value, ":retrying": StepStatus.RETRYING.value}


# Before each further try of the end of a run that met others over the same counters: some 2 s in
# all, which is less than the machine waits before it tells the end once more.
_COUNT_PAUSES: Final = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 0.64)


class DynamoRuns:
    """The `Runs` port over one DynamoDB table."""

    def __init__(self, connect: "Callable[[], DynamoDBClient]", table: str) -> None:
        self._connect = connect
        self._table = table

    @property
    def _client(self) -> "DynamoDBClient":
        return self._connect()

    def create(
        self,
        run: Run,
        *,
        dedupe_key: str | None = None,
        dedupe_for: timedelta = DELIVERY_MEMORY,
        lane: "LaneChange | None" = None,
    ) -> tuple[Run, bool]:
        """Store a new run, or give the one that already has this dedupe key."""
        put: PutTypeDef = {
            "TableName": self._table,
            "Item": _run_item(run),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        others = self._along_with(run, dedupe_key, dedupe_for, lane)
        if not others:
            return self._create_alone(run, put)
        puts: list[TransactWriteItemTypeDef] = [{"Put": put}, *others]
        for tries_left in reversed(range(_CREATE_TRIES)):
            try:
                self._client.transact_write_items(TransactItems=puts)
            except self._client.exceptions.TransactionCanceledException as error:
                # The same delivery may be there, or just being written by another invocation.
                known = self.delivered(run, dedupe_key)
                if known is not None:
                    return known, False
                if lane is not None and {*_codes(error)} <= MAY_PASS:
                    raise _lane_changed() from error
                if not tries_left:
                    raise
            else:
                break
        return run, True

    def _along_with(
        self, run: Run, dedupe_key: str | None, dedupe_for: timedelta, lane: "LaneChange | None"
    ) -> "list[TransactWriteItemTypeDef]":
        """What is written along with a new run."""
        writes: list[TransactWriteItemTypeDef] = []
        if dedupe_key is not None:
            writes.append(self._delivery(run, dedupe_key, dedupe_for))
        if run.retry_of is not None:
            repeated = RunKey(run.workspace_id, run.retry_of)
            writes.append(self._named_beside("retries", repeated, run.id))
        if lane is not None:
            # Few flows have lanes, and a cold start pays for what it imports.
            from millrace.storage.dynamodb_lanes import put_of  # noqa: PLC0415

            writes.append({"Put": put_of(self._table, lane)})
        return writes

    def _create_alone(self, run: Run, put: "PutTypeDef") -> tuple[Run, bool]:
        """Store a run and nothing beside it, which takes half of what a transaction does."""
        try:
            self._client.put_item(**put)
        except self._client.exceptions.ConditionalCheckFailedException:
            # Its id is new, so it is the same run: the client sent it twice, for want of an answer.
            return self.get(run.key), True
        return run, True

    def get(self, key: RunKey) -> Run:
        """The run without its steps. Raises NotFoundError."""
        item = self._read(keys.run(key))
        if item is None:
            raise NotFoundError(f"there is no run {key.run_id!r}")
        return _run(item)

    def get_many(self, workspace_id: str, run_ids: Iterable[str]) -> tuple[Run, ...]:
        """Those of these runs that are there, in one read for each 100."""
        places = [keys.run(RunKey(workspace_id, id_)) for id_ in dict.fromkeys(run_ids)]
        pairs = [(place["pk"], place["sk"]) for place in places if keys.is_possible(place)]
        return tuple(map(_run, read_items(self._client, self._table, pairs)))

    def detail(self, key: RunKey) -> tuple[Run, tuple[StepRecord, ...]]:
        """The run with the steps of its latest attempt, in one read. Raises NotFoundError."""
        items = self._items(key)
        runs = [_run(item) for item in items if text(item, "sk") == keys.RUN]
        if not runs:
            raise NotFoundError(f"there is no run {key.run_id!r}")
        prefix = keys.step_prefix(runs[0].attempt)
        steps = [_step_record(item) for item in items if text(item, "sk").startswith(prefix)]
        return runs[0], tuple(sorted(steps, key=lambda each: (each.started_at, each.step_id)))

    def steps(self, key: RunKey, attempt: int | None) -> tuple[StepRecord, ...]:
        """The step records of an attempt, or of all, in the order in which they started."""
        prefix = keys.STEP_PREFIX if attempt is None else keys.step_prefix(attempt)
        records = map(_step_record, self._items(key, prefix))
        return tuple(sorted(records, key=lambda record: (record.started_at, record.step_id)))

    def step(self, key: RunKey, attempt: int, step_id: str) -> StepRecord | None:
        """The record of one step, if it has begun."""
        item = self._read(keys.step(key, attempt, step_id))
        return None if item is None else _step_record(item)

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
        if flow_id is not None:
            partition = keys.runs_of_flow(workspace_id, flow_id)
            if not keys.is_possible({"gsi1pk": partition}):
                return Listing(())
            found = self._list("gsi1", partition, where, limit, cursor)
            return Listing(tuple(map(_run, found.items)), found.cursor)
        partition = keys.runs_of_workspace(workspace_id)
        found = self._list("gsi4", partition, where, limit, cursor)
        places = [(text(item, "pk"), text(item, "sk")) for item in found.items]
        read = {text(item, "pk"): item for item in read_items(self._client, self._table, places)}
        runs = (_run(read[pk]) for pk, _ in places if pk in read)
        # The index is a moment behind: what no longer passes the filter is not shown by it.
        return Listing(tuple(filter(where.admits, runs)), found.cursor)

    def _items(self, key: RunKey, prefix: str | None = None) -> list[dict[str, Any]]:
        """What there is of a run, or the part of it whose sort keys begin with the prefix."""
        place = {"pk": keys.run(key)["pk"]} | ({} if prefix is None else {"sk": prefix})
        if not keys.is_possible(place):
            return []
        condition = "pk = :pk" if prefix is None else "pk = :pk AND begins_with(sk, :sk)"
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=attributes(
                **{f":{name}": value for name, value in place.items()}
            ),
            ConsistentRead=True,
        )
        return [item for page in pages for item in page["Items"]]

    def _list(
        self, index: "RunIndex", partition: str, where: RunFilter, limit: int, cursor: str | None
    ) -> Listing[dict[str, Any]]:
        # Few requests list runs, and a cold start pays for what it imports.
        from millrace.storage.run_lists import find_runs  # noqa: PLC0415

        return find_runs(self._client, self._table, index, partition, where, limit, cursor)

    def unfinished(self, created_before: datetime) -> tuple[Run, ...]:
        """Runs of all workspaces that were created before then and are not settled."""
        found: list[Run] = []
        for partition in keys.unfinished_partitions():
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName="gsi2",
                KeyConditionExpression="gsi2pk = :partition AND gsi2sk < :before",
                ExpressionAttributeValues=attributes(
                    **{":partition": partition, ":before": rfc3339(created_before)}
                ),
            )
            found += [_run(item) for page in pages for item in page["Items"]]
        return tuple(found)

    def unfinished_of(self, workspace_id: str, flow_id: str) -> tuple[Run, ...]:
        """A flow's runs that are not over; one that began this moment may be left out."""
        partition = keys.unfinished_of(workspace_id, flow_id)
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="gsi3",
            KeyConditionExpression="gsi3pk = :flow",
            ExpressionAttributeValues=attributes(**{":flow": partition}),
        )
        places = [(text(item, "pk"), text(item, "sk")) for page in pages for item in page["Items"]]
        runs = map(_run, read_items(self._client, self._table, places))
        return tuple(run for run in runs if not run.status.is_terminal)

    def claim_step(self, run: Run, step_id: str, now: datetime) -> StepRecord:
        """Begin a step, or take up one that was interrupted."""
        key, attempt = run.key, run.attempt
        run_states.check_attempt(run, attempt)
        fresh = StepRecord.begun(step_id, attempt, now)
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=attributes(**keys.step(key, attempt, step_id)),
                UpdateExpression=(
                    "SET tries = if_not_exists(tries, :none) + :one, #status = :running, "
                    "#data = if_not_exists(#data, :data), expiresAt = :expires"
                ),
                ConditionExpression=_STEP_IS_OPEN,
                ExpressionAttributeNames={"#status": "status", "#data": "data"},
                ExpressionAttributeValues=attributes(
                    **_OPEN,
                    **{":none": 0, ":one": 1, ":data": pack(fresh)},
                    **{":expires": _expires(fresh)},
                ),
                ReturnValues="ALL_NEW",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            record = self.step(key, attempt, step_id)
            if record is None:
                raise
            return record
        return _step_record(answer["Attributes"])

    def save_step(self, key: RunKey, record: StepRecord) -> StepRecord:
        """Write how far a try of a step is, or its result."""
        try:
            self._client.put_item(**self._step(key, record))
        except self._client.exceptions.ConditionalCheckFailedException as error:
            there = self.step(key, record.attempt, record.step_id)
            if there is not None and there.status.is_terminal:
                return there
            raise ConflictError(f"another try of step {record.step_id!r} took over") from error
        return record

    def write_steps(
        self, key: RunKey, fresh: Sequence[StepRecord], result: StepRecord | None = None
    ) -> bool:
        """Write records of steps that have none, and perhaps the result of a step at work."""
        writes = self._fresh(key, fresh)
        if result is not None:
            writes.append({"Put": self._step(key, result)})
        try:
            self._client.transact_write_items(TransactItems=writes)
        except self._client.exceptions.TransactionCanceledException as error:
            if not {*_codes(error)} <= _OF_OTHERS:
                raise
            return False
        return True

    def _fresh(
        self, key: RunKey, records: Iterable[StepRecord]
    ) -> "list[TransactWriteItemTypeDef]":
        """Puts records of steps that have none."""
        return [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": _step_item(key, record),
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }
            for record in records
        ]

    def _step(self, key: RunKey, record: StepRecord) -> "PutTypeDef":
        """Puts what a try of a step came to, unless another one took over or a result is there."""
        return {
            "TableName": self._table,
            "Item": _step_item(key, record),
            "ConditionExpression": f"tries = :tries AND {_STEP_IS_OPEN}",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": attributes(**_OPEN, **{":tries": record.tries}),
        }

    def finish(
        self,
        key: RunKey,
        outcome: RunOutcome,
        now: datetime,
        *,
        seen: Run | None = None,
        fresh: Sequence[StepRecord] = (),
    ) -> Run:
        """Write the run's terminal status and count the run, both exactly once."""
        steps = self._fresh(key, fresh)
        return self._end(key, lambda run: run_states.finished(run, outcome, now), *steps, seen=seen)

    def supersede(self, key: RunKey, by: str, outcome: RunOutcome, now: datetime) -> Run:
        """End a run that waits for its next attempt in favour of a newer one; both say so."""
        newer = self._named_beside("supersedes", RunKey(key.workspace_id, by), key.run_id)
        return self._end(key, lambda run: run_states.superseded(run, by, outcome, now), newer)

    def _end(
        self,
        key: RunKey,
        change: "run_states.Transition",
        *beside: "TransactWriteItemTypeDef",
        seen: Run | None = None,
    ) -> Run:
        """Write the end that `change` makes of the stored run, and what is told beside it.

        Raises ConflictError if what is beside it cannot be written.
        """
        is_refused = False
        for pause in (*_COUNT_PAUSES, None):
            # What was seen may be of some time ago; the write is refused then.
            before, seen = seen or self.get(key), None
            after = change(before)
            if after == before:
                return before
            if is_refused:
                raise ConflictError("others wrote meanwhile of what belongs to the end of the run")
            writes: list[TransactWriteItemTypeDef] = [
                {"Put": self._replacement(before, after)},
                *additions(self._table, after),
                *beside,
            ]
            try:
                self._client.transact_write_items(TransactItems=writes)
            except self._client.exceptions.TransactionCanceledException as error:
                codes = _codes(error)
                if not {*codes} <= MAY_PASS:
                    raise
                is_refused = "ConditionalCheckFailed" in codes[len(writes) - len(beside) :]
                if pause is not None and "ConditionalCheckFailed" not in codes:
                    wait(pause)
            else:
                return after
        raise UnavailableError("too many runs of the flow end at once; tell it again")

    def counted(
        self, workspace_id: str, flow_id: str, grain: Grain, start: datetime, end: datetime
    ) -> tuple[Counted, ...]:
        """What was counted of a flow's runs in the hours or days from `start` to before `end`."""
        partition = keys.counters(workspace_id, flow_id)
        # An item's key goes on after its hour, so that of `end` sorts after the upper bound.
        values = {
            ":pk": partition,
            ":start": f"{grain}#{grain_of(grain, start)}",
            ":end": f"{grain}#{grain_of(grain, end)}",
        }
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :start AND :end",
            ExpressionAttributeValues=attributes(**values),
        )
        return tuple(counted_of(item) for page in pages for item in page["Items"])

    def plan_retry(self, key: RunKey, attempt: int, error: RunError, now: datetime) -> Run:
        """End an attempt that failed and make the run wait for its next one, once per attempt."""
        return self._change(key, lambda run: run_states.retry_planned(run, attempt, error, now))

    def begin_attempt(self, key: RunKey, attempt: int, now: datetime) -> Run:
        """The next attempt starts running, once."""
        return self._change(key, lambda run: run_states.attempt_begun(run, attempt, now))

    def dequeue(self, key: RunKey, now: datetime) -> tuple[Run, bool]:
        """A run that waited for its slot begins; whether this began it."""
        before = self.get(key)
        after = run_states.dequeued(before, now)
        if after == before:
            return before, False
        try:
            self._client.put_item(**self._replacement(before, after))
        except self._client.exceptions.ConditionalCheckFailedException:
            return self.dequeue(key, now)
        return after, True

    def lane(self, key: LaneKey) -> "Lane | None":
        """A lane, if any run came to it of late."""
        from millrace.storage.dynamodb_lanes import read_lane  # noqa: PLC0415 - see `create`

        return read_lane(self._client, self._table, key)

    def swap_lane(self, change: "LaneChange") -> bool:
        """Change a lane; False if it is not as it was read."""
        from millrace.storage.dynamodb_lanes import swap_lane  # noqa: PLC0415 - see `create`

        return swap_lane(self._client, self._table, change)

    def lanes(
        self, workspace_id: str, flow_id: str | None = None, *, limit: int
    ) -> "tuple[tuple[LaneKey, Lane], ...]":
        """Some of the lanes that are not empty."""
        from millrace.storage.dynamodb_lanes import find_lanes  # noqa: PLC0415 - see `create`

        return find_lanes(self._client, self._table, workspace_id, flow_id, limit)

    def note_followed(self, key: RunKey, what: Followed) -> Run:
        """Note once what followed the end of a run; nothing is to follow it any more."""
        return self._change(key, lambda run: run_states.followed(run, what))

    def _change(self, key: RunKey, change: "run_states.Transition") -> Run:
        """Write the run that `change` makes of the stored one, again if it changed meanwhile."""
        while True:
            before = self.get(key)
            after = change(before)
            if after == before:
                return before
            try:
                self._client.put_item(**self._replacement(before, after))
            except self._client.exceptions.ConditionalCheckFailedException:
                continue
            return after

    def take_place(self, run: Run) -> str | None:
        """Note a run as the latest for its request; the run whose place it took."""
        # Few runs have an id of that kind, and a cold start pays for what it imports.
        from millrace.storage.latest_requests import take_place  # noqa: PLC0415

        return take_place(self._client, self._table, run)

    def latest_for_request(self, run: Run) -> str | None:
        """The id of the latest run for the same request."""
        from millrace.storage.latest_requests import latest_for_request  # noqa: PLC0415 - see above

        return latest_for_request(self._client, self._table, run)

    def _replacement(self, before: Run, after: Run) -> "PutTypeDef":
        """Puts a run if it is as it was read: what came beside it since would be lost."""
        values = attributes(**{":status": before.status.value, ":attempt": before.attempt})
        there = _beside(before)
        conditions = ["#status = :status", "attempt = :attempt"]
        conditions += [
            f"{name} = :{name}" if name in there else f"attribute_not_exists({name})"
            for name in _BESIDE
        ]
        values |= {f":{name}": ids for name, ids in there.items()}
        return {
            "TableName": self._table,
            "Item": _run_item(after),
            "ConditionExpression": " AND ".join(conditions),
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": values,
        }

    def _named_beside(self, name: str, key: RunKey, id_: str) -> "TransactWriteItemTypeDef":
        """Adds a run to those that stand beside another one."""
        return {
            "Update": {
                "TableName": self._table,
                "Key": attributes(**keys.run(key)),
                "UpdateExpression": f"ADD {name} :ids",
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeValues": {":ids": {"SS": [id_]}},
            }
        }

    def _delivery(
        self, run: Run, dedupe_key: str, dedupe_for: timedelta
    ) -> "TransactWriteItemTypeDef":
        """Remembers the run of a key. DynamoDB removes what expired within days, not at once."""
        now = int(run.created_at.timestamp())
        item = attributes(
            **keys.delivery(run.workspace_id, dedupe_key),
            runId=run.id,
            expiresAt=now + int(dedupe_for.total_seconds()),
        )
        return {
            "Put": {
                "TableName": self._table,
                "Item": item,
                "ConditionExpression": "attribute_not_exists(pk) OR expiresAt <= :now",
                "ExpressionAttributeValues": attributes(**{":now": now}),
            }
        }

    def delivered(self, run: Run, dedupe_key: str | None) -> Run | None:
        """The run that has this dedupe key already."""
        if dedupe_key is None:
            return None
        item = self._read(keys.delivery(run.workspace_id, dedupe_key))
        if item is None or number(item, "expiresAt") <= int(run.created_at.timestamp()):
            return None
        return self.get(RunKey(run.workspace_id, text(item, "runId")))

    def _read(self, key: keys.Key) -> dict[str, Any] | None:
        if not keys.is_possible(key):
            return None
        answer = self._client.get_item(
            TableName=self._table, Key=attributes(**key), ConsistentRead=True
        )
        return answer.get("Item")


def _codes(error: "ClientError") -> list[str | None]:
    """Why a transaction was cancelled, of each of its writes."""
    reasons: Any = error.response.get("CancellationReasons", [])
    return [reason.get("Code") for reason in reasons]


def _lane_changed() -> Exception:
    from millrace.domain.lane import LaneChangedError  # noqa: PLC0415 - see `create`

    return LaneChangedError()


def _run(item: Mapping[str, Any]) -> Run:
    """The run of an item, with the runs that are kept beside it."""
    beside = {
        name: json.dumps(sorted(item[name]["SS"])) for name in _BESIDE if item.get(name) is not None
    }
    return unpack(Run, data({**item}), beside)


def _run_item(run: Run) -> Attributes:
    created = time_key(run.created_at, run.id)
    item = attributes(
        **keys.run(run.key),
        data=pack(run.model_copy(update=dict.fromkeys(_BESIDE, ()))),
        status=run.status.value,
        attempt=run.attempt,
        flowId=run.flow_id,
        triggerSource=run.trigger.source,
        gsi1pk=keys.runs_of_flow(run.workspace_id, run.flow_id),
        gsi1sk=created,
        gsi4pk=keys.runs_of_workspace(run.workspace_id),
        gsi4sk=created,
    )
    if not run.is_settled:
        item |= attributes(gsi2pk=keys.unfinished(run.id), gsi2sk=rfc3339(run.created_at))
    elif run.forgotten_at is not None:
        item |= attributes(expiresAt=int(run.forgotten_at.timestamp()))
    if not run.status.is_terminal:
        item |= attributes(gsi3pk=keys.unfinished_of(run.workspace_id, run.flow_id))
    return item | _beside(run)


def _beside(run: Run) -> Attributes:
    """The runs that are kept beside a run, by name; DynamoDB has no empty sets."""
    return {name: {"SS": [*ids]} for name in _BESIDE if (ids := getattr(run, name))}


def _expires(record: StepRecord) -> int:
    return int((record.started_at + timedelta(days=limits.RUN_DETAIL_DAYS)).timestamp())


def _step_item(key: RunKey, record: StepRecord) -> Attributes:
    return attributes(
        **keys.step(key, record.attempt, record.step_id),
        data=pack(record),
        tries=record.tries,
        status=record.status.value,
        expiresAt=_expires(record),
    )


def _step_record(item: dict[str, Any]) -> StepRecord:
    """The record with the claim's own attributes laid over what was last saved."""
    record = unpack(StepRecord, data(item))
    status = StepStatus(text(item, "status"))
    return record.model_copy(update={"tries": number(item, "tries"), "status": status})

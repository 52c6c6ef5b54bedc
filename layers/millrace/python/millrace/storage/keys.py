"""The layout of the one table: every primary key starts with the workspace.

| what | pk | sk | gsi1pk | gsi1sk | gsi2pk | gsi2sk |
|---|---|---|---|---|---|---|
| resource | `ws#flow` | id | | | | |
| number of them | `ws#flow` | `!count` | | | | |
| request with a key | `ws#once` | SHA-256 of the key | | | | |
| child resource | `ws#flow_1#ver`, `ws#flow_1#aud` | id | | | | |
| public resource (webhook) | `ws#flow_1#hook` | id | id | `public` | | |
| stable key | `ws#flow#key` | stable key | | | | |
| run | `ws#run_1` | `run` | `ws#flow_1#runs` | created, run id | `unfinished#n` | created |
| step | `ws#run_1` | `step#01#id` | | | | |
| latest run of a version | `ws#flow_1#latest` | version id | | | | |
| counters | `ws#flow_1#met` | `hour#2026-01-31T09#ver_1`, `day#2026-01-31#ver_1` | | | | |
| record error | `ws#flow_1#err` | `open#step#run#place`, `resolved#step#run#place` | | | | |
| latest run for a request | `ws#flow_1#req` | SHA-256 of its id | | | | |
| key in a data pool | `ws#pool_1#key#hash` | `key` | | | | |
| delivery | `ws#delivery#hash` | `delivery` | | | | |
| lane of a flow | `ws#flow_1#lanes` | its name | | | | |
| pace of a connection | `ws#con_1#pace` | `pace` | | | | |
| owner of a queue, which no workspace has for itself | `account#queue` | name | | | | |

`gsi1` lists a flow's runs and finds what a public address names; `gsi2` is sparse and holds only
unfinished runs, and those whose end something is still to follow, spread over a few partitions, and
flows from each change of them until their schedules are in step with it (`UNSETTLED`);
`gsi3`, sparse and of keys only, finds a version without its flow by `ws#ver_1`, a flow's
unfinished runs by `ws#flow_1#unfinished`, and lanes that are not empty by `ws#lanes`; `gsi4` lists
all runs of a workspace, `ws#runs`, in the order of `gsi1`, and holds only what filters look at:
`RUN_FILTERED`.

Four local indexes of keys only list a collection in other orders than that of ids (`INDEXES`), or
skip in that one; what is sorted by ends in the id, so no two keys are alike. With local indexes a
partition holds at most 10 GB, which is millions of flows.
"""

import hashlib
import zlib
from typing import Final

from millrace import limits
from millrace.domain.failed_record import ErrorPlace
from millrace.domain.metrics import Grain
from millrace.domain.ports import OrderName
from millrace.domain.run import LaneKey, RunKey

RUN: Final = "run"
STEP_PREFIX: Final = "step#"
DELIVERY: Final = "delivery"
PACE: Final = "pace"
POOL_ENTRY: Final = "key"
PUBLIC: Final = "public"
UNFINISHED_PARTITIONS: Final = 4

UNSETTLED: Final = "unsettled"
"""The `gsi2` partition of flows whose schedules may not be in step with them yet."""

COUNT: Final = "!count"
"""Sorts before every id, so that the first page of a list reads it too."""

INDEXES: Final[dict[OrderName, tuple[str, str]]] = {
    "createdAt": ("byCreatedAt", "createdKey"),
    "name": ("byName", "nameKey"),
    "enabledAt": ("byEnabledAt", "enabledKey"),
    "lastExecutedAt": ("byLastExecutedAt", "executedKey"),
}
"""The local index of each order of a list, and its sort key."""

RUN_FILTERED: Final = ("status", "flowId", "triggerSource")
"""The attributes of a run that lists are filtered by; template.yaml projects them into `gsi4`."""

PARTITION_KEY_BYTES: Final = 2_048
"""What DynamoDB takes as a partition key (developer guide, "Quotas"); none may be empty."""

type Key = dict[str, str]


def is_possible(key: Key) -> bool:
    """Whether an item could have this key: ids come from addresses and files, and may be any text.

    DynamoDB answers a key that could not be with an error; to a reader it means "not there".
    """
    limit = {"pk": PARTITION_KEY_BYTES, "sk": limits.SORT_KEY_BYTES}
    return all(
        0 < len(value.encode("utf-8", "surrogatepass")) <= limit.get(name, PARTITION_KEY_BYTES)
        for name, value in key.items()
    )


def collection(workspace_id: str, prefix: str, parent_id: str | None) -> str:
    """The partition that holds all resources of one type, or of one type under a parent."""
    return "#".join(part for part in (workspace_id, parent_id, prefix) if part)


def resource(workspace_id: str, prefix: str, id_: str, parent_id: str | None) -> Key:
    """The key of a resource."""
    return {"pk": collection(workspace_id, prefix, parent_id), "sk": id_}


def count(workspace_id: str, prefix: str) -> Key:
    """The key of the item that counts a collection."""
    return {"pk": collection(workspace_id, prefix, None), "sk": COUNT}


def lookup(workspace_id: str, id_: str) -> str:
    """The `gsi3` partition of a child that is found without its parent."""
    return f"{workspace_id}#{id_}"


def parent_in(partition: str) -> str:
    """The parent in the partition of a child resource."""
    return partition.split("#")[-2]


def stable_key(workspace_id: str, prefix: str, key: str, parent_id: str | None) -> Key:
    """The key of the item that makes a stable key unique in its collection."""
    return {"pk": f"{collection(workspace_id, prefix, parent_id)}#key", "sk": key}


def run(key: RunKey) -> Key:
    """The key of a run."""
    return {"pk": f"{key.workspace_id}#{key.run_id}", "sk": RUN}


def step_prefix(attempt: int) -> str:
    """What the sort keys of one attempt's steps start with."""
    return f"{STEP_PREFIX}{attempt:02d}#"


def step(key: RunKey, attempt: int, step_id: str) -> Key:
    """The key of a step's record."""
    return {"pk": f"{key.workspace_id}#{key.run_id}", "sk": f"{step_prefix(attempt)}{step_id}"}


def runs_of_flow(workspace_id: str, flow_id: str) -> str:
    """The `gsi1` partition that lists a flow's runs."""
    return f"{workspace_id}#{flow_id}#runs"


def runs_of_workspace(workspace_id: str) -> str:
    """The `gsi4` partition that lists a workspace's runs."""
    return f"{workspace_id}#runs"


def latest_run(workspace_id: str, flow_id: str, version_id: str) -> Key:
    """The key of a version's latest run, once another version's run is the flow's latest."""
    return {"pk": f"{workspace_id}#{flow_id}#latest", "sk": version_id}


def counters(workspace_id: str, flow_id: str) -> str:
    """The partition of a flow's counters."""
    return f"{workspace_id}#{flow_id}#met"


def counter(workspace_id: str, flow_id: str, grain: Grain, time: str, version_id: str) -> Key:
    """The key of what is counted of one version in one hour or day."""
    return {"pk": counters(workspace_id, flow_id), "sk": f"{grain}#{time}#{version_id}"}


def errors(workspace_id: str, flow_id: str) -> str:
    """The partition of a flow's record errors."""
    return f"{workspace_id}#{flow_id}#err"


def errors_prefix(step_id: str | None, *, is_open: bool) -> str:
    """What the sort keys of open or resolved errors start with, those of one step or of all."""
    state = "open" if is_open else "resolved"
    return f"{state}#" if step_id is None else f"{state}#{step_id}#"


def error(workspace_id: str, flow_id: str, place: ErrorPlace, *, is_open: bool) -> Key:
    """The key of a record error, which changes when it is resolved."""
    prefix = errors_prefix(None, is_open=is_open)
    return {"pk": errors(workspace_id, flow_id), "sk": f"{prefix}{place.sort_key}"}


def request(workspace_id: str, flow_id: str, request_id: str) -> Key:
    """The key of the item that names the latest run for a unique request id."""
    digest = hashlib.sha256(request_id.encode("utf-8", "surrogatepass")).hexdigest()
    return {"pk": f"{workspace_id}#{flow_id}#req", "sk": digest}


def delivery(workspace_id: str, dedupe_key: str) -> Key:
    """The key of the item that remembers which run a delivery started."""
    digest = hashlib.sha256(dedupe_key.encode("utf-8", "surrogatepass")).hexdigest()
    return {"pk": f"{workspace_id}#{DELIVERY}#{digest}", "sk": DELIVERY}


def pace(workspace_id: str, connection_id: str) -> Key:
    """The key of the item by which a connection's workers keep its pace."""
    return {"pk": f"{workspace_id}#{connection_id}#{PACE}", "sk": PACE}


def lanes(workspace_id: str, flow_id: str) -> str:
    """The partition of a flow's lanes."""
    return f"{workspace_id}#{flow_id}#lanes"


def lane(key: LaneKey) -> Key:
    """The key of a lane."""
    return {"pk": lanes(key.workspace_id, key.flow_id), "sk": key.name}


def lane_in(workspace_id: str, key: Key) -> LaneKey:
    """The lane of a key of the table."""
    flow_id = key["pk"].removeprefix(f"{workspace_id}#").removesuffix("#lanes")
    return LaneKey(workspace_id, flow_id, key["sk"])


def lanes_in_use(workspace_id: str) -> str:
    """The `gsi3` partition of a workspace's lanes that are not empty."""
    return f"{workspace_id}#lanes"


def pool_entry(workspace_id: str, pool_id: str, key: str) -> Key:
    """The key of the item that remembers a key in a data pool."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return {"pk": f"{workspace_id}#{pool_id}#{POOL_ENTRY}#{digest}", "sk": POOL_ENTRY}


def unfinished(run_id: str) -> str:
    """The `gsi2` partition of an unfinished run."""
    return f"unfinished#{zlib.crc32(run_id.encode()) % UNFINISHED_PARTITIONS}"


def unfinished_of(workspace_id: str, flow_id: str) -> str:
    """The `gsi3` partition of a flow's unfinished runs."""
    return f"{workspace_id}#{flow_id}#unfinished"


def unfinished_partitions() -> tuple[str, ...]:
    """All `gsi2` partitions."""
    return tuple(f"unfinished#{number}" for number in range(UNFINISHED_PARTITIONS))

"""JSON that belongs to a run: in its item while it is small, else in the bucket."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from millrace import limits
from millrace.domain.base import Json, Record
from millrace.domain.ports import Blobs
from millrace.domain.run import PayloadRef, Run, RunKey
from millrace.usecases.context import Context


def object_prefix(key: RunKey) -> str:
    """How the keys of a run's objects begin: the bucket's lifecycle rule knows them by `runs/`."""
    return f"runs/{key.workspace_id}/{key.run_id}"


@dataclass(frozen=True, slots=True)
class Unstored:
    """What belongs into the bucket once it is sure that there will be a run.

    Deliveries that are repeated or refused would leave it there otherwise.
    """

    objects: dict[str, bytes] = field(default_factory=dict)

    def keep(self, key: RunKey, name: str, value: Json) -> PayloadRef:
        """Where a value is to be, under a name of the run's."""
        if value is None:
            return PayloadRef()
        text = json.dumps(value, separators=(",", ":"))
        if len(text) <= limits.INLINE_PAYLOAD_BYTES:
            return PayloadRef(inline=text)
        place = f"{object_prefix(key)}/{name}.json"
        self.objects[place] = text.encode()
        return PayloadRef(key=place)

    def store(self, blobs: Blobs) -> None:
        """Store what is not stored yet."""
        for place in [*self.objects]:
            blobs.put(place, self.objects[place])
            del self.objects[place]


def load_json(context: Context, ref: PayloadRef) -> Json:
    """What was stored; None if it was nothing."""
    if ref.inline is not None:
        return json.loads(ref.inline)
    if ref.key is not None:
        return json.loads(context.blobs.get(ref.key))
    return None


def load_payload(context: Context, run: Run) -> Json:
    """What the trigger handed to the run."""
    return load_json(context, run.payload)


def payload_records(context: Context, run: Run) -> Iterator[list[Record]]:
    """The trigger's payload as records: an array gives one for each object, an object itself."""
    payload = load_payload(context, run)
    items = payload if isinstance(payload, list) else [] if payload is None else [payload]
    records = [item if isinstance(item, dict) else {"value": item} for item in items]
    for start in range(0, len(records), limits.PAGE_RECORDS):
        yield records[start : start + limits.PAGE_RECORDS]

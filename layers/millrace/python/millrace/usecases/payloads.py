"""JSON that belongs to a run: in its item while it is small, else in the bucket."""

import json

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.run import PayloadRef, RunKey
from millrace.usecases.context import Context


def keep_json(context: Context, key: RunKey, name: str, value: Json) -> PayloadRef:
    """Store a value under a name of the run's; where it is."""
    if value is None:
        return PayloadRef()
    text = json.dumps(value, separators=(",", ":"))
    if len(text) <= limits.INLINE_PAYLOAD_BYTES:
        return PayloadRef(inline=text)
    place = f"{key.workspace_id}/runs/{key.run_id}/{name}.json"
    context.blobs.put(place, text.encode())
    return PayloadRef(key=place)


def load_json(context: Context, ref: PayloadRef) -> Json:
    """What was stored; None if it was nothing."""
    if ref.inline is not None:
        return json.loads(ref.inline)
    if ref.key is not None:
        return json.loads(context.blobs.get(ref.key))
    return None

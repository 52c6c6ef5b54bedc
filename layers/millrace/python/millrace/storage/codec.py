"""Models to and from what an item holds: JSON text, compressed where that saves write units."""

import base64
import binascii
import gzip
import json
from typing import Final

from pydantic import BaseModel

from millrace import limits
from millrace.domain.errors import InvalidRequestError, TooLargeError

_COMPRESS_FROM_BYTES: Final = 4_096


def pack(model: BaseModel) -> str | bytes:
    """JSON text of a model, or its gzip form when the text is long.

    Secrets are never in a model that is stored; a SecretStr left in by mistake packs as asterisks.

    Raises:
        TooLargeError: even compressed it does not fit an item.
    """
    text = model.model_dump_json(by_alias=True, exclude_none=True)
    if len(text) < _COMPRESS_FROM_BYTES:
        return text
    data = gzip.compress(text.encode(), compresslevel=6, mtime=0)
    if len(data) > limits.ITEM_BYTES - _COMPRESS_FROM_BYTES:
        msg = (
            f"it takes {len(data):,} bytes compressed, and {limits.ITEM_BYTES:,} is the limit of "
            "one stored item; move inline actions into actions of their own"
        )
        raise TooLargeError(msg)
    return data


def unpack[M: BaseModel](kind: type[M], data: str | bytes) -> M:
    """The model that `pack` was given."""
    text = data if isinstance(data, str) else gzip.decompress(data)
    return kind.model_validate_json(text)


def encode_cursor(position: dict[str, str]) -> str:
    """An opaque cursor for the caller from a position in an index."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> dict[str, str]:
    """The position a cursor stands for. Raises InvalidRequestError for one that is not ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        msg = "the cursor is not one that a list gave"
        raise InvalidRequestError(msg) from error
    if not isinstance(position, dict) or not all(
        isinstance(part, str) for part in position.values()
    ):
        msg = "the cursor is not one that a list gave"
        raise InvalidRequestError(msg)
    return position

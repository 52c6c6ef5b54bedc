"""Models to and from what an item holds: JSON text, compressed where that saves write units."""

import base64
import binascii
import gzip
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from millrace import limits
from millrace.domain.errors import InvalidRequestError, TooLargeError
from millrace.domain.resource import Resource
from millrace.storage import keys

_COMPRESS_FROM_BYTES: Final = 4_096
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_NO_CURSOR: Final = "the cursor is not one that a list gave"


def pack(model: BaseModel) -> str | bytes:
    """JSON text of a model, or its gzip form when the text is long.

    Secrets are never in a model that is stored; a SecretStr left in by mistake packs as asterisks.

    Raises:
        TooLargeError: even compressed it does not fit an item.
    """
    beside = set(model.beside) if isinstance(model, Resource) else None
    text = model.model_dump_json(by_alias=True, exclude_none=True, exclude=beside)
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


def unpack[M: BaseModel](
    kind: type[M], data: str | bytes, beside: Mapping[str, str] = _NOTHING
) -> M:
    """The model that `pack` was given, with the fields kept beside it: wire name to JSON text."""
    text = data if isinstance(data, str) else gzip.decompress(data).decode()
    more = "".join(f',"{name}":{value}' for name, value in beside.items())
    return kind.model_validate_json(f"{text[:-1]}{more}}}" if more else text)


def encode_cursor(last_id: str) -> str:
    """An opaque cursor for the caller: the list goes on after this id."""
    return base64.urlsafe_b64encode(json.dumps({"id": last_id}).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The id after which a list goes on. Raises InvalidRequestError for a cursor not of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        match json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)):
            case {"id": str(last_id)} if 0 < len(last_id.encode()) <= keys.SORT_KEY_BYTES:
                return last_id
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(_NO_CURSOR) from error
    raise InvalidRequestError(_NO_CURSOR)

"""Models to and from what an item holds: JSON text, compressed where that saves write units."""

import gzip
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from millrace import limits
from millrace.domain.errors import TooLargeError
from millrace.domain.resource import Resource

_COMPRESS_FROM_BYTES: Final = 4_096
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


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

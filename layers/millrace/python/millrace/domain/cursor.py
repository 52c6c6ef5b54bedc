"""Cursors: opaque to the caller, they tell where a list goes on."""

import base64
import binascii
import json
from typing import Final

from millrace import limits
from millrace.domain.errors import InvalidRequestError

_NO_CURSOR: Final = "the cursor is not one that a list gave"


def encode_cursor(last: str, order: str = "") -> str:
    """An opaque cursor for the caller: the list in this order goes on after this position."""
    told = {"id": last} | ({"order": order} if order else {})
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, order: str = "") -> str:
    """The position after which a list goes on.

    Raises InvalidRequestError for a cursor that is not ours, or of a list in another order.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        told = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        match told:
            case {"id": str(last)} if 0 < len(last.encode()) <= limits.SORT_KEY_BYTES:
                if told.get("order", "") == order:
                    return last
                raise InvalidRequestError(
                    "the cursor is of a list in another order; send the sort that it came with"
                )
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(_NO_CURSOR) from error
    raise InvalidRequestError(_NO_CURSOR)

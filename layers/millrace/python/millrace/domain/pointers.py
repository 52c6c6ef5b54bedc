"""JSON Pointers (RFC 6901) of the places that pydantic complains about."""

from collections.abc import Sequence
from typing import Any

from millrace.domain.base import Json


def json_pointer(path: Sequence[str | int], body: Json) -> str:
    """The JSON Pointer of a place that pydantic names.

    Pydantic puts the tag of a tagged union into the path, which is no key of the document; so the
    path is walked along the document, and what is not there is left out, unless it comes last:
    then it is a field that is missing, or the tag, which is the `type`, of a value that is wrong as
    a whole.
    """
    pointer = ""
    here: Any = body
    for number, token in enumerate(path):
        is_last = number == len(path) - 1
        match here, token:
            case dict(), str() if token in here:
                here = here[token]
            case list(), int() if token < len(here):
                here = here[token]
            case dict(), str() if is_last and token != here.get("type"):
                pass
            case _:
                continue
        pointer += pointer_of(token)
    return pointer


def pointer_of(*tokens: str | int) -> str:
    """The JSON Pointer of these keys and positions, one within the other."""
    return "".join(f"/{str(token).replace('~', '~0').replace('/', '~1')}" for token in tokens)


def holds(outer: str, inner: str) -> bool:
    """Whether a place is another one, or around it."""
    return f"{inner}/".startswith(f"{outer}/")

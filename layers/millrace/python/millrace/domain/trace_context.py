"""W3C Trace Context, Level 1 (w3.org/TR/trace-context-1): what names one journey across systems."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Final, Self

from millrace import limits

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_PARENT: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<id>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<rest>-.*)?"
)
_KEY: Final = r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_VALUE: Final = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER: Final = re.compile(f"(?:{_KEY})={_VALUE}")
_MEMBERS_MAX: Final = 32
_LONG_MEMBER: Final = 128
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace, and where in it we are."""

    id: str
    span_id: str
    is_sampled: bool = True
    state: str | None = None
    """What systems before us have every later one told; not ours to read."""

    @classmethod
    def new(cls) -> Self:
        """A trace that begins here."""
        return cls(token_hex(16), token_hex(8))

    @classmethod
    def read(cls, parent: str | None, state: str | None = None) -> Self | None:
        """What the two headers say; None without a valid traceparent, whatever tracestate says.

        A tracestate that is not valid is dropped, and the trace goes on.
        """
        found = _PARENT.fullmatch((parent or "").strip())
        if found is None or not _is_valid(found):
            return None
        is_sampled = bool(int(found["flags"], 16) & _SAMPLED)
        return cls(found["id"], found["span"], is_sampled, _state(state))

    @classmethod
    def received(cls, headers: Mapping[str, str]) -> Self:
        """The trace of a request by its headers, whose names are in lower case; else a new one."""
        return cls.read(headers.get(TRACEPARENT), headers.get(TRACESTATE)) or cls.new()

    def child(self) -> Self:
        """The trace, one span further."""
        return replace(self, span_id=token_hex(8))

    @property
    def parent(self) -> str:
        """The value of traceparent."""
        return f"00-{self.id}-{self.span_id}-{'01' if self.is_sampled else '00'}"

    @property
    def headers(self) -> dict[str, str]:
        """What tells the next system."""
        told = {TRACEPARENT: self.parent}
        return told if self.state is None else told | {TRACESTATE: self.state}


def _is_valid(found: re.Match[str]) -> bool:
    """Of later versions, what this one knows is read; this one itself has nothing behind."""
    is_known = found["version"] != "ff" and (found["version"] != "00" or found["rest"] is None)
    return is_known and found["id"].strip("0") != "" and found["span"].strip("0") != ""


def _state(text: str | None) -> str | None:
    """A valid tracestate that is not too long; of one that is, the long members go first."""
    members = [each.strip(" \t") for each in (text or "").split(",")]
    members = [each for each in members if each]
    is_valid = len(members) <= _MEMBERS_MAX and all(map(_MEMBER.fullmatch, members))
    if not is_valid or not members:
        return None
    if len(",".join(members)) > limits.TRACESTATE_LENGTH:
        members = [each for each in members if len(each) <= _LONG_MEMBER]
    while len(",".join(members)) > limits.TRACESTATE_LENGTH:
        members.pop()
    return ",".join(members) or None

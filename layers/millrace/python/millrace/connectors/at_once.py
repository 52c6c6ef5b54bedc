"""Filters and maps all records of a page in one evaluation: from JSON to JSON, no record is read.

The expressions become one over the array of all records, which gives an object for each:

    filter total > 0, map {"id": id}  ->  $.{"<mark>": (total > 0) = true ? ({"id": id}) : ...}

What cannot be told from what comes out is left to be evaluated by itself: what is no object, and
what JSON has no words for.
"""

import re
from collections.abc import Sequence
from secrets import token_hex
from typing import Final

from millrace import limits
from millrace.connectors.expressions import (
    FAULTS,
    Expression,
    compile_expression,
    has_many_digits,
)
from millrace.domain.base import Record
from millrace.domain.quick_json import dump
from millrace.domain.run_values import RunValues

_FEW: Final = 10
"""Records that are not worth it; the array of a single one would be that one."""

_PAUSE: Final = 10
"""Calls that do without after one that was in vain."""

_BEYOND_RECORD: Final = re.compile(r"\$\$|[%@#]|\$eval\b")
"""What may look beyond the record that an expression is evaluated on."""

_MARK: Final = f'"{token_hex(8)}"'
"""No record holds it: it is another one in each process."""

HELD_BACK: Final = b""


class AtOnce:
    """Expressions of filters, and that of the map that follows them."""

    def __init__(self, filters: Sequence[str], mapping: str, values: RunValues) -> None:
        self.operations = len(filters) + 1
        """How many there are."""
        whole = f"({mapping})"
        for text in reversed(filters):
            held_back = f"(({text}) = false or $not($exists({text})))"
            whole = f"(({text}) = true ? {whole} : {held_back} ? {_MARK})"
        self._expression: Expression | None = None
        if not _BEYOND_RECORD.search(whole):
            self._expression = compile_expression(f"$.{{{_MARK}: {whole}}}").bound(values)
        self._pause = 0

    def texts(self, records: Sequence[Record]) -> Sequence[bytes | None] | None:
        """The JSON of each record's object, or HELD_BACK; None where that cannot be told.

        None instead of the list where all of them are to be evaluated one by one.
        """
        if self._expression is None or len(records) < _FEW:
            return None
        if self._pause:
            self._pause -= 1
            return None
        texts = self._texts(self._expression, records)
        if texts is None or texts.count(None) > len(texts) // 3:
            self._pause = _PAUSE
            return None
        return texts

    def _texts(
        self, expression: Expression, records: Sequence[Record]
    ) -> Sequence[bytes | None] | None:
        try:
            text = dump(records)
            if has_many_digits(text):
                return None
            return _apart(expression.json(text), len(records))
        except (*FAULTS, RecursionError):
            return None


def _apart(text: bytes, count: int) -> Sequence[bytes | None] | None:
    """The values of an array of marked ones; None if one is missing, or no object."""
    mark = _MARK.encode()
    start, between = b"[{" + mark + b":", b"},{" + mark + b":"
    if not text.startswith(start):
        return None
    # No line break stands in JSON without white space.
    together = text[len(start) : -2].replace(between, b"\n").replace(mark, HELD_BACK)
    texts = together.split(b"\n")
    objects = together.count(b"\n{") + together.startswith(b"{")
    if len(texts) != count or objects + texts.count(HELD_BACK) != count:
        return None
    if not _is_doubtful(together):
        return texts
    return [None if _is_doubtful(text) else text for text in texts]


def _is_doubtful(text: bytes) -> bool:
    """Whether it may not be the same for the record by itself.

    What JSON has not is null here, or an empty text, and a double beyond 2^53 an integer. What is
    too large for a record fails by itself.
    """
    is_large = len(text) > limits.RECORD_BYTES
    return is_large or b"null" in text or b'""' in text or has_many_digits(text)

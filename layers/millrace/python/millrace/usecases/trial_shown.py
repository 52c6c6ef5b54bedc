"""What the result of a test shows: the first records, as far as they fit, and no secret."""

import json
import math
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any, Final

from millrace import limits
from millrace.domain.base import Json, Model, Record
from millrace.domain.trial import Shown

_MASK: Final = "***"
_DEPTH_MAX: Final = 50


class Display:
    """Shows lists of things, each list within its share of a result."""

    def __init__(self, hidden: Collection[str], share: int) -> None:
        # The longest first, so that none is cut by a shorter one.
        self._hidden = sorted(filter(None, hidden), key=lambda text: (-len(text), text))
        self._share = share

    def text(self, text: str) -> str:
        """A text that holds no secret and can be stored."""
        for secret in self._hidden:
            text = text.replace(secret, _MASK)
        return text.encode("utf-8", "replace").decode()

    def shown[S: Shown](self, kind: type[S], things: Iterable[Model | Record], count: int) -> S:
        """The first of so many things."""
        data: list[Json] = []
        left = self._share
        for thing in islice(things, limits.TEST_ITEMS_SHOWN):
            value = self._clean(dict(thing))
            left -= len(json.dumps(value, ensure_ascii=False).encode())
            if left < 0:
                break
            data.append(value)
        told = {"data": data, "count": count, "truncated": len(data) < count}
        return kind.model_validate(told)

    def _clean(self, value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON
        """A value as JSON has it: expressions may give numbers and texts that it has not."""
        if depth > _DEPTH_MAX:
            return "(nested too deeply to be shown)"
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(key): self._clean(each, depth + 1) for key, each in value.items()}
            case list() | tuple():
                return [self._clean(each, depth + 1) for each in value]
            case bool() | None:
                return value
            case _:
                text = str(value)
                shown = self.text(text)
                return value if shown == text and math.isfinite(value) else shown

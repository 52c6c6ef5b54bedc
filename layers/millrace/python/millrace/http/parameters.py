"""The parameters of any route: what they are called, and what is not one of them.

Powertools hands over only what a route knows, so the rest is found here.
"""

from collections import Counter
from collections.abc import Collection
from urllib.parse import parse_qsl

from pydantic.alias_generators import to_camel

from millrace.domain.base import Model
from millrace.domain.errors import Violation


class Parameters(Model):
    """The parameters of a route."""

    @classmethod
    def names(cls) -> list[str]:
        """As they stand in an address."""
        return [field.alias or to_camel(name) for name, field in cls.model_fields.items()]


def strange_names(raw_query: str, known: Collection[str]) -> list[Violation]:
    """The parameters of an address that a route does not know, and those given twice."""
    given = Counter(name for name, _ in parse_qsl(raw_query, keep_blank_values=True))
    remedy = f"Known are {', '.join(known)}." if known else "The route takes none."
    found = [
        Violation(_code_of(name), name, f"There is no parameter {name!r} here.", remedy)
        for name in given
        if name not in known
    ]
    found += [
        Violation("repeatedParameter", name, "It is given twice.", "Send one, with commas.")
        for name, times in given.items()
        if name in known and times > 1
    ]
    return found


def _code_of(name: str) -> str:
    return "unknownFilter" if name.startswith("filter[") else "unknownParameter"

"""What expressions may speak of beside records: a run's variables, parameters, dates, and itself.

In a template of an action these are the document: `variables.region`. In an expression over
records, whose document is the record, they are variables of JSONata: `$variables.region`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from millrace.domain.action import HttpExport
from millrace.domain.aws_imports import DynamoDbImport, S3Import, SqsImport
from millrace.domain.base import Json
from millrace.domain.imports import HttpImport, Results
from millrace.domain.sources import S3Export
from millrace.domain.spoken_of import speaking_of

if TYPE_CHECKING:
    from millrace.domain.trace_context import Trace

_NAMED: Final = re.compile(r"\bvariables\s*\.\s*`?([A-Za-z_][A-Za-z0-9_]*)")
_NAMED_BESIDE: Final = re.compile(r"\$variables\s*\.\s*`?([A-Za-z_][A-Za-z0-9_]*)")
_RECORD: Final = speaking_of("record")
_BATCH: Final = speaking_of("(?:records|keys)")
_DELTA: Final = speaking_of("(?:last|current)ExportDateTime")
_PARAMETERS: Final = speaking_of("parameters")
_SPOKEN_OF: Final = re.compile(
    r"\$(variables|parameters|startDate|endDate|run|lastExportDateTime|currentExportDateTime)\b"
)

type Target = HttpExport | S3Export | HttpImport | S3Import | DynamoDbImport | SqsImport


@dataclass(frozen=True, slots=True)
class RunValues:
    """The values of one run that the expressions of one step name."""

    fixed: Mapping[str, Json] = field(default_factory=dict)
    """`parameters`, `run`, `startDate` and `endDate` if the run has them, and the two times of a
    delta if there is one."""

    variables: Mapping[str, Json] = field(default_factory=dict, repr=False)
    secret_names: frozenset[str] = frozenset()
    """Those of the variables that nobody may be told."""

    trace: "Trace | None" = None
    """What the run's requests are parts of."""

    def beside(self, **others: Json) -> "RunValues":
        """These, and others such as the `record` that a request is made for."""
        return replace(self, fixed={**self.fixed, **others})

    def named(self, names: Iterable[str]) -> dict[str, Json]:
        """All that an expression sees which names these variables; it sees no others."""
        known = {name: self.variables[name] for name in names if name in self.variables}
        return {**self.fixed, "variables": known}


NO_VALUES: Final = RunValues()


def speaks_of_delta(text: str) -> bool:
    """Whether an expression may name how far an export has read."""
    return "ExportDateTime" in text


@lru_cache(maxsize=1_024)
def names_in_template(expression: str) -> frozenset[str]:
    """The variables that an expression of a template names."""
    return frozenset(_NAMED.findall(expression))


@lru_cache(maxsize=1_024)
def names_beside_records(expression: str) -> frozenset[str] | None:
    """The variables that an expression over records names; None if it speaks of records alone."""
    if _SPOKEN_OF.search(expression) is None:
        return None
    return frozenset(_NAMED_BESIDE.findall(expression))


class TemplateKind(StrEnum):
    """Where a template stands, which decides what its text may be."""

    PATH = "path"
    QUERY = "query"
    HEADER = "headers"
    BODY = "body"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class TemplateText:
    """A text of an action that may hold expressions."""

    kind: TemplateKind
    place: tuple[str, ...]
    """The keys, and the positions in arrays, that lead to it."""

    text: str


def templates_of(target: Target) -> list[TemplateText]:
    """The texts of what is read or written that may hold expressions."""
    match target:
        case S3Import():
            return [TemplateText(TemplateKind.KEY, ("key",), target.key)]
        case S3Export():
            texts = {"key": target.key, "prefix": target.prefix}
            return [
                TemplateText(TemplateKind.KEY, (name,), text)
                for name, text in texts.items()
                if text is not None
            ]
        case DynamoDbImport() | SqsImport():
            return []
    return _templates_of_request(target)


def import_expressions(target: Target) -> list[tuple[str, str]]:
    """The expressions of what is written that are no templates, after their place in the import."""
    match target:
        case SqsImport(group=str(text)):
            return [("sqs/group", text)]
        case HttpImport(results=Results(ok_expression=str(text))):
            return [("http/results/okExpression", text)]
    return []


def speak_of_record(target: HttpExport | HttpImport) -> bool:
    """Whether any request depends on the record that it is made for."""
    return any(speaks_of_record(template.text) for template in templates_of(target))


def speak_of_parameters(target: Target) -> bool:
    """Whether what is read depends on what a run is asked for once."""
    return any(_PARAMETERS.search(each.text) is not None for each in templates_of(target))


def is_lookup(http: HttpExport) -> bool:
    """Whether an export is asked for the records of its step's input."""
    return http.lookup is not None or speak_of_record(http)


@lru_cache(maxsize=1_024)
def speaks_of_record(template: str) -> bool:
    """Whether a template has an expression over the record that is sent."""
    return _RECORD.search(template) is not None


@lru_cache(maxsize=1_024)
def speaks_of_batch(template: str) -> bool:
    """Whether a template has an expression over several records that are asked for at once."""
    return _BATCH.search(template) is not None


@lru_cache(maxsize=1_024)
def speaks_of_delta_times(template: str) -> bool:
    """Whether a template has an expression over how far an export has read."""
    return _DELTA.search(template) is not None


def _templates_of_request(http: HttpExport | HttpImport) -> list[TemplateText]:
    found = [TemplateText(TemplateKind.PATH, ("path",), http.path)]
    if isinstance(http, HttpImport) and http.upsert is not None:
        found.append(TemplateText(TemplateKind.PATH, ("upsert", "path"), http.upsert.path))
    for kind in (TemplateKind.QUERY, TemplateKind.HEADER):
        texts: Mapping[str, str] = getattr(http, kind, {})
        found += [TemplateText(kind, (kind, name), text) for name, text in texts.items()]
    found += _texts_in(http.body, (TemplateKind.BODY,))
    return found


def _texts_in(value: Json, place: tuple[str, ...]) -> Iterator[TemplateText]:
    match value:
        case dict():
            for name, member in value.items():
                yield from _texts_in(member, (*place, name))
        case list():
            for number, member in enumerate(value):
                yield from _texts_in(member, (*place, str(number)))
        case str():
            yield TemplateText(TemplateKind.BODY, place, value)

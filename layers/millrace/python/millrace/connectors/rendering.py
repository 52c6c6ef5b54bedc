"""Fills the templates of an action with what a run gives, before anything is sent."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from millrace.connectors.templates import Slot, TemplateError, compile_template
from millrace.domain.action import HttpExport
from millrace.domain.aws_imports import S3Import
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.imports import HttpImport
from millrace.domain.records import RecordError
from millrace.domain.run_values import (
    RunValues,
    TemplateKind,
    TemplateText,
    speak_of_record,
    speaks_of_record,
    templates_of,
)
from millrace.domain.sources import S3Export

_PLAIN: Final = re.compile(r"record(\.[A-Za-z_]\w*)+", re.ASCII)
_NOT_PLAIN: Final = object()

type Fill = Callable[[Record], HttpImport]
"""Makes the request for a record. Raises RecordError."""


@dataclass(frozen=True, slots=True)
class Rendered[H: (HttpExport, HttpImport)]:
    """A request without templates."""

    http: H
    private: tuple[str, ...]
    """The texts in it that come from secret variables."""


def check_template(kind: TemplateKind, text: str) -> str | None:
    """What is wrong with a template, if anything."""
    try:
        template = compile_template(text)
    except TemplateError as error:
        return str(error)
    return next(filter(None, map(_FAULTS[kind], template.literals)), None)


def rendered[H: (HttpExport, HttpImport)](http: H, values: RunValues) -> Rendered[H]:
    """A request with the values of its expressions in their places.

    Raises StepFailed, with the place in the message, for an expression that fails or has no value,
    and for a value that cannot stand there.
    """
    filler = _Filler(values, _secret_texts(values))
    return Rendered(_filled(http, filler), tuple(filler.private))


def import_requests(
    http: HttpImport, values: RunValues
) -> tuple[HttpImport, Fill | None, tuple[str, ...]]:
    """An import's request, what makes the one of each record if they differ, and private texts.

    Raises StepFailed as `rendered` does, and for an expression over both the record and a secret,
    whose value nobody could tell from the record's.
    """
    if http.batch_size is not None or not speak_of_record(http):
        filled = rendered(http, values)
        return filled.http, None, filled.private
    filler = _Filler(values, _secret_texts(values))
    for template in templates_of(http):
        filler.collect(template)

    def fill(record: Record) -> HttpImport:
        try:
            return _filled(http, _Filler(values.beside(record=record)))
        except StepFailed as error:
            raise RecordError(error.code, error.message) from error

    return http, fill, tuple(filler.private)


def object_key(work: S3Import, values: RunValues, part: str) -> str:
    """The key of an object. Raises StepFailed as `rendered` does, and for a secret in it."""
    _check_keys(values)
    (template,) = templates_of(work)
    return _Filler(values.beside(part=part)).text(template)


def objects(work: S3Export, values: RunValues) -> S3Export:
    """The objects to read, named by the values of a run. Raises StepFailed as `object_key` does."""
    _check_keys(values)
    filler = _Filler(values)
    filled = {each.place[0]: filler.text(each) for each in templates_of(work)}
    return work.model_copy(update=filled)


def _check_keys(values: RunValues) -> None:
    if values.secret_names:
        name = min(values.secret_names)
        raise StepFailed("secretInKey", f"variable {name!r} is secret; a key shows it to all")


def _filled[H: (HttpExport, HttpImport)](http: H, filler: "_Filler") -> H:
    update: dict[str, Any] = {}
    for template in templates_of(http):
        match template.place:
            case ("upsert", "path") if (upsert := getattr(http, "upsert", None)) is not None:
                update["upsert"] = upsert.model_copy(update={"path": filler.text(template)})
            case (field,) if template.kind is TemplateKind.PATH:
                update[field] = filler.text(template)
            case (field, key) if template.kind in {TemplateKind.QUERY, TemplateKind.HEADER}:
                update.setdefault(field, {})[key] = filler.text(template)
    update["body"] = filler.document(http.body, (TemplateKind.BODY,))
    return http.model_copy(update=update)


class _Filler:
    """Puts values into templates, and collects the private texts among them."""

    def __init__(self, values: RunValues, private: Iterable[str] = ()) -> None:
        """`private` are those that are known before; nobody asks for those of a single record."""
        self._values = values
        self.private = [*private]

    def collect(self, template: TemplateText) -> None:
        """The private texts of a template that is filled in for each record."""
        for part in _parts(template):
            if isinstance(part, str) or self._values.secret_names.isdisjoint(part.names):
                continue
            if speaks_of_record(_told(part)):
                message = f"{_told(part)} is over both a secret variable and the record"
                raise _failed("secretInRecords", template, message)
            self._value(part, template)

    def text(self, template: TemplateText) -> str:
        """What becomes of a template that is text whatever its values are."""
        text = "".join(self._filled(part, template) for part in _parts(template))
        _check(template, text)
        return text

    def document(self, value: Json, place: tuple[str, ...]) -> Json:
        """What becomes of JSON; a text that is one expression becomes its value, of any type."""
        match value:
            case dict():
                return {
                    name: self.document(member, (*place, name)) for name, member in value.items()
                }
            case list():
                return [
                    self.document(member, (*place, str(number)))
                    for number, member in enumerate(value)
                ]
            case str():
                template = TemplateText(TemplateKind.BODY, place, value)
                match _parts(template):
                    case (Slot() as slot,):
                        return self._value(slot, template)
                return self.text(template)
        return value

    def _filled(self, part: str | Slot, template: TemplateText) -> str:
        if isinstance(part, str):
            return part
        text = _as_text(self._value(part, template), part, template)
        return quote(text, safe="") if template.kind is TemplateKind.PATH else text

    def _value(self, slot: Slot, template: TemplateText) -> Json:
        is_private = not self._values.secret_names.isdisjoint(slot.names)
        try:
            value = self._evaluated(slot)
        except RecordError as error:
            # What the engine says may repeat the values that it met.
            message = "it failed on a secret variable" if is_private else error.message
            raise _failed(error.code, template, f"{_told(slot)}: {message}") from error
        if value is None:
            message = f"{_told(slot)} has no value {_where(self._values)}"
            raise _failed("templateUndefined", template, message)
        if is_private:
            self.private += _texts(value)
        return value

    def _evaluated(self, slot: Slot) -> Json:
        if _PLAIN.fullmatch(slot.expression.text):
            # A member of an object needs no engine, which could not tell a large integer.
            value: Json = self._values.fixed
            for name in slot.expression.text.split("."):
                value = value.get(name) if isinstance(value, Mapping) else _NOT_PLAIN
            if not isinstance(value, dict | list) and value is not _NOT_PLAIN:
                return value
        return slot.expression.evaluate(self._values.named(slot.names))


def _parts(template: TemplateText) -> tuple[str | Slot, ...]:
    try:
        return compile_template(template.text).parts
    except TemplateError as error:
        raise _failed("badTemplate", template, str(error)) from error


def _where(values: RunValues) -> str:
    return "for this record" if "record" in values.fixed else "in this run"


def _told(slot: Slot) -> str:
    return f"{{{{ {slot.expression.text} }}}}"


def _as_text(value: Json, slot: Slot, template: TemplateText) -> str:
    if isinstance(value, dict | list):
        kind = "an array" if isinstance(value, list) else "an object"
        message = f"{_told(slot)} gives {kind}; make a text of it, by $join or $string"
        raise _failed("templateNotText", template, message)
    text = value if isinstance(value, str) else json.dumps(value)
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):  # noqa: PLR2004 - surrogates
        raise _failed("templateNotText", template, f"{_told(slot)} gives text that is not Unicode")
    return text


def _secret_texts(values: RunValues) -> Iterator[str]:
    """Every text and number in the secret variables."""
    for name in sorted(values.secret_names):
        yield from _texts(values.variables[name])


def _texts(value: Json) -> Iterator[str]:
    """Every text and number in a value."""
    match value:
        case dict():
            for member in value.values():
                yield from _texts(member)
        case list():
            for member in value:
                yield from _texts(member)
        case str():
            yield value
        case int() | float() if not isinstance(value, bool):
            yield json.dumps(value)


def _check(template: TemplateText, text: str) -> None:
    """Refuse what values made of a text that is sound without them."""
    fault = _FAULTS[template.kind](text)
    if fault is None and template.kind is TemplateKind.PATH and text != template.text:
        segments = text.partition("?")[0].split("/")
        if not {".", ".."}.isdisjoint(segments):
            fault = "a value leads to another path by . or .."
    if fault is not None:
        raise _failed("badValue", template, fault)


def _failed(code: str, template: TemplateText, message: str) -> StepFailed:
    target = "s3" if template.kind is TemplateKind.KEY else "http"
    return StepFailed(code, f"{target}/{'/'.join(template.place)}: {message}")


def _path_fault(text: str) -> str | None:
    if any(char.isspace() or char == "#" for char in text):
        return "a path holds neither white space nor #"
    return None


def _header_fault(text: str) -> str | None:
    if any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F or ord(char) > 0xFF for char in text):  # noqa: PLR2004 - C0, DEL, C1, and beyond Latin-1
        return "a header holds neither control characters nor characters beyond Latin-1"
    return None


_FAULTS: Final[dict[TemplateKind, Callable[[str], str | None]]] = {
    TemplateKind.PATH: _path_fault,
    TemplateKind.QUERY: lambda _: None,
    TemplateKind.BODY: lambda _: None,
    TemplateKind.KEY: lambda _: None,
    TemplateKind.HEADER: _header_fault,
}

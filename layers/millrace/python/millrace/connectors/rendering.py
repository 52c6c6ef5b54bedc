"""Fills the templates of an action with what a run gives, before anything is sent."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from millrace.connectors.templates import Slot, TemplateError, compile_template
from millrace.domain.action import HttpExport, HttpImport
from millrace.domain.base import Json
from millrace.domain.errors import StepFailed
from millrace.domain.records import RecordError
from millrace.domain.run_values import RunValues, TemplateKind, TemplateText, templates_of


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
    filler = _Filler(values)
    update: dict[str, Any] = {}
    for template in templates_of(http):
        match template.place:
            case (field,) if template.kind is TemplateKind.PATH:
                update[field] = filler.text(template)
            case (field, key) if template.kind is not TemplateKind.BODY:
                update.setdefault(field, {})[key] = filler.text(template)
    if isinstance(http, HttpExport):
        update["body"] = filler.document(http.body, (TemplateKind.BODY,))
    return Rendered(http.model_copy(update=update), tuple(filler.private))


class _Filler:
    """Puts the values of a run into templates, and collects the private texts among them."""

    def __init__(self, values: RunValues) -> None:
        self._values = values
        self.private = [
            text for name in sorted(values.secret_names) for text in _texts(values.variables[name])
        ]

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
            value = slot.expression.evaluate(self._values.named(slot.names))
        except RecordError as error:
            # What the engine says may repeat the values that it met.
            message = "it failed on a secret variable" if is_private else error.message
            raise _failed(error.code, template, f"{_told(slot)}: {message}") from error
        if value is None:
            message = f"{_told(slot)} has no value in this run"
            raise _failed("templateUndefined", template, message)
        if is_private:
            self.private += _texts(value)
        return value


def _parts(template: TemplateText) -> tuple[str | Slot, ...]:
    try:
        return compile_template(template.text).parts
    except TemplateError as error:
        raise _failed("badTemplate", template, str(error)) from error


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
    return StepFailed(code, f"http/{'/'.join(template.place)}: {message}")


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
    TemplateKind.HEADER: _header_fault,
}

"""A small XML document as JSON, in the manner in which exports read XML.

`{root: value}`; an element is its text if that is all there is, else an object: attributes as
`@name`, several children of one name as an array, text beside them as `#text`. A document that
declares anything (a DOCTYPE) is refused: declarations are how XML reads other files and how a small
document swells to a large one.
"""

from collections.abc import Mapping
from typing import NoReturn
from xml.parsers import expat

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.repeated import add_repeated


def parse_xml(data: bytes, charset: str | None = None) -> dict[str, Json]:
    """The document. Raises ValueError if it is no XML, or more than a reader should take."""
    try:
        parser = expat.ParserCreate(charset)
        reader = _Reader(parser)
        parser.Parse(data, True)  # noqa: FBT003 - expat's signature
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"it is not XML ({error})") from error
    return reader.document


class XmlElement:
    """An element that is being read."""

    __slots__ = ("members", "text")

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.members: dict[str, Json] = {f"@{name}": value for name, value in attributes.items()}
        self.text: list[str] = []

    def add(self, name: str, value: Json, *, is_array: bool = False) -> None:
        """Take in a child element; several of one name become an array."""
        add_repeated(self.members, name, value, is_array=is_array)

    def value(self) -> Json:
        """Its text if that is all there is, else an object."""
        return self.record() if self.members else "".join(self.text)

    def record(self) -> dict[str, Json]:
        """An object; white space between child elements is left out."""
        text = "".join(self.text)
        if text and not (self.members and text.isspace()):
            self.members["#text"] = text
        return self.members


class _Reader:
    """Makes JSON of what the parser tells."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self._open = [XmlElement({})]
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._refuse

    @property
    def document(self) -> dict[str, Json]:
        """The root element by its name."""
        return self._open[0].members

    def _refuse(self, *_: object) -> NoReturn:
        raise ValueError("it has a DOCTYPE, which is not read for safety")

    def _text(self, text: str) -> None:
        self._open[-1].text.append(text)

    def _start(self, _: str, attributes: dict[str, str]) -> None:
        if len(self._open) > limits.NESTED_ELEMENTS:
            raise ValueError(f"it is nested too deeply, beyond {limits.NESTED_ELEMENTS} levels")
        self._open.append(XmlElement(attributes))

    def _end(self, name: str) -> None:
        value = self._open.pop().value()
        self._open[-1].add(name, value)

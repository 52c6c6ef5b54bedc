"""A small XML document as JSON, in the manner in which exports read XML.

`{root: value}`; an element is its text if that is all there is, else an object: attributes as
`@name`, several children of one name as an array, text beside them as `#text`. A document that
declares anything (a DOCTYPE) is refused: declarations are how XML reads other files and how a small
document swells to a large one.
"""

from typing import NoReturn
from xml.parsers import expat

from millrace import limits
from millrace.domain.base import Json


def parse_xml(data: bytes, charset: str | None = None) -> dict[str, Json]:
    """The document. Raises ValueError if it is no XML, or more than a reader should take."""
    try:
        parser = expat.ParserCreate(charset)
        reader = _Reader(parser)
        parser.Parse(data, True)  # noqa: FBT003 - expat's signature
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"it is not XML ({error})") from error
    return reader.document


class _Reader:
    """Makes JSON of what the parser tells."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self.document: dict[str, Json] = {}
        self._open: list[dict[str, Json]] = [self.document]
        self._texts: list[list[str]] = [[]]
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._refuse

    def _refuse(self, *_: object) -> NoReturn:
        raise ValueError("it has a DOCTYPE, which is not read for safety")

    def _text(self, text: str) -> None:
        self._texts[-1].append(text)

    def _start(self, _: str, attributes: dict[str, str]) -> None:
        if len(self._open) > limits.NESTED_ELEMENTS:
            raise ValueError(f"it is nested too deeply, beyond {limits.NESTED_ELEMENTS} levels")
        self._open.append({f"@{name}": value for name, value in attributes.items()})
        self._texts.append([])

    def _end(self, name: str) -> None:
        members, text = self._open.pop(), "".join(self._texts.pop())
        if members and text and not text.isspace():
            members["#text"] = text
        value: Json = members or text
        around = self._open[-1]
        if name not in around:
            around[name] = value
        elif isinstance(around[name], list):
            around[name].append(value)
        else:
            around[name] = [around[name], value]

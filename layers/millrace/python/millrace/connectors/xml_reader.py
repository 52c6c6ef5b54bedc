"""Records from XML, one element after the other, in memory for one of them.

A document that declares anything (a DOCTYPE) is refused: declarations are how XML reads other files
and how a small document swells to a large one.
"""

from collections.abc import Iterator
from typing import IO, Final, NoReturn
from xml.parsers import expat

from millrace import limits
from millrace.connectors.element_readers import Element, Elements, too_large
from millrace.connectors.http_client import BrokenAnswerError
from millrace.connectors.json_documents import short
from millrace.domain.errors import StepFailed
from millrace.domain.formats import XmlFormat
from millrace.domain.records import PARSE, RecordError
from millrace.domain.xml_text import XmlElement

_CHUNK_BYTES: Final = 65_536


def read_xml(
    file: IO[bytes],
    options: XmlFormat,
    charset: str | None = None,
    record_size: int = limits.RECORD_BYTES,
) -> Elements:
    """The records at the path.

    Raises StepFailed if it is no XML, or declares something, or has nothing where the records
    should stand; BrokenAnswerError if it looks cut off.
    """
    parser = expat.ParserCreate(charset)
    parser.buffer_text = True
    builder = _Builder(parser, options, record_size)
    fed = 0
    while chunk := file.read(_CHUNK_BYTES):
        try:
            parser.Parse(chunk)
        except expat.ExpatError as error:
            raise StepFailed("notXml", f"the answer is not XML ({error})") from error
        except (LookupError, ValueError) as error:
            raise StepFailed(
                "badCharset", f"the answer's encoding is not known ({error})"
            ) from error
        yield from builder.taken()
        fed += len(chunk)
        # What expat holds back is one token, such as an attribute that does not end.
        if fed - parser.CurrentByteIndex > record_size + _CHUNK_BYTES:
            message = f"a tag on line {parser.CurrentLineNumber} is larger than a record may be"
            raise StepFailed("recordTooLarge", message)
    try:
        parser.Parse(b"", True)  # noqa: FBT003 - expat's signature
    except expat.ExpatError as error:
        raise BrokenAnswerError(f"the answer is not whole XML ({error})") from error
    yield from builder.taken()
    builder.check_path()


class _Builder:
    """Makes records of what the parser tells."""

    def __init__(self, parser: expat.XMLParserType, options: XmlFormat, record_size: int) -> None:
        self._parser = parser
        self._path = options.record_path.split("/")[1:]
        self._arrays = frozenset(options.arrays)
        self._record_size = record_size
        self._around: list[str] = []
        self._root = ""
        self._is_there = False
        self._stack: list[XmlElement] = []
        self._depth = 0
        self._start = 0
        self._fault: RecordError | None = None
        self._taken: list[Element] = []
        parser.StartElementHandler = self._open
        parser.EndElementHandler = self._close
        parser.CharacterDataHandler = self._data
        parser.StartDoctypeDeclHandler = self._refuse

    def taken(self) -> Iterator[Element]:
        """The records that were read since the last time."""
        yield from self._taken
        self._taken.clear()

    def check_path(self) -> None:
        """Fail if the document had not even the element around the records."""
        if not self._is_there:
            path = "/".join(self._path)
            raise StepFailed(
                "recordsMissing",
                f"nothing at recordPath '/{path}': the root element is '{short(self._root)}'",
            )

    def _refuse(self, *_: object) -> NoReturn:
        raise StepFailed("xmlDoctype", "the answer has a DOCTYPE, which is not read for safety")

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth:
            self._depth += 1
            if self._depth > limits.NESTED_ELEMENTS:
                self._spoil(RecordError(PARSE, "the record is nested too deeply"))
            if self._fits():
                self._stack.append(XmlElement(attributes))
            return
        self._root = self._root or name
        self._around.append(name)
        if len(self._around) > limits.NESTED_ELEMENTS:
            raise StepFailed("notXml", "the answer is nested too deeply")
        if self._around == self._path[:-1]:
            self._is_there = True
        if self._around == self._path:
            self._is_there = True
            self._around.pop()
            self._start = self._parser.CurrentByteIndex
            self._fault = None
            self._depth = 1
            self._stack = [XmlElement(attributes)]

    def _close(self, name: str) -> None:
        if not self._depth:
            self._around.pop()
            return
        self._depth -= 1
        if self._fault is not None:
            if not self._depth:
                self._taken.append((self._fault, self._record_size))
            return
        node = self._stack.pop()
        if self._stack:
            self._stack[-1].add(name, node.value(), is_array=name in self._arrays)
        else:
            self._taken.append((node.record(), self._parser.CurrentByteIndex - self._start))

    def _data(self, text: str) -> None:
        if self._depth and self._fits():
            self._stack[-1].text.append(text)

    def _fits(self) -> bool:
        """Whether the record can still be kept; what there is of one that cannot is let go."""
        if self._fault is None and (
            self._parser.CurrentByteIndex - self._start > self._record_size
        ):
            self._spoil(too_large())
        return self._fault is None

    def _spoil(self, fault: RecordError) -> None:
        self._fault = self._fault or fault
        self._stack = []

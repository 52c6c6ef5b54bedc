"""Records from lines of JSON (NDJSON, also called JSON Lines), in memory for one line."""

from collections.abc import Iterator
from io import TextIOBase

from millrace import limits
from millrace.connectors.element_readers import Elements, too_large
from millrace.connectors.exact_json import ExactDecoder


def read_ndjson(text: TextIOBase, record_size: int = limits.RECORD_BYTES) -> Elements:
    """The record of each line that is not blank.

    Raises BrokenAnswerError if the last line looks cut off.
    """
    decoder = ExactDecoder()
    for line in _lines(text, record_size):
        if len(line) > record_size:
            yield too_large(), record_size
        elif not line.isspace():
            yield decoder.line(line, is_last=not line.endswith("\n")), len(line)


def _lines(text: TextIOBase, size: int) -> Iterator[str]:
    """The lines; of one that is too long only its beginning."""
    while line := text.readline(size + 1):
        yield line
        while len(line) > size and not line.endswith(("\n", "\r")):
            line = text.readline(size + 1)
            if not line:
                return

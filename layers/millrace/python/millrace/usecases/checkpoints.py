"""Where a step goes on, and what it keeps in memory until then, small enough for its record."""

import gzip
import json
from collections.abc import Iterator, Sequence
from typing import Final

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.ports import Blobs
from millrace.domain.run import OutputPage
from millrace.usecases.pages import PageWriter, read_records

_PLACES: Final = 2


def kept_pages(stored: Json) -> tuple[OutputPage, ...]:
    """What was kept by a checkpoint as a step's record holds it."""
    return tuple(OutputPage.model_validate(page) for page in (stored or {}).get("kept", ()))


class Checkpoints:
    """The checkpoints of one try of a step, from that of the try before it on.

    A small one is in the step's record itself, a large one in the bucket. What only grows is kept
    apart, as pages, so that each checkpoint writes no more than what is new.
    """

    def __init__(self, blobs: Blobs, prefix: str, stored: Json) -> None:
        self._blobs = blobs
        self._prefix = prefix
        self._stored = stored
        self._pages = kept_pages(stored)
        self._writer = PageWriter(blobs, f"{prefix}/kept", self._pages)
        self._written = 0

    def read(self) -> Json:
        """Where to go on; None: from the start."""
        if self._stored is None:
            return None
        if "key" in self._stored:
            return json.loads(gzip.decompress(self._blobs.get(self._stored["key"])))
        return self._stored["at"]

    def kept(self) -> Iterator[Json]:
        """What was kept by then, in order."""
        for rows in read_records(self._blobs, self._pages):
            yield from rows

    def keep(self, rows: Sequence[Json]) -> None:
        """Keep more."""
        self._writer.write(rows)

    def written(self, checkpoint: Json) -> Json:
        """What the step's record holds for a checkpoint."""
        text = json.dumps(checkpoint, separators=(",", ":"))
        held: dict[str, Json] = {"at": checkpoint}
        if len(text) > limits.INLINE_OUTPUT_BYTES:
            # The record names the one before until it is stored itself.
            key = f"{self._prefix}/checkpoint-{self._written % _PLACES}.json.gz"
            self._written += 1
            self._blobs.put(key, gzip.compress(text.encode(), 1, mtime=0))
            held = {"key": key}
        pages = self._writer.pages()
        if pages:
            held["kept"] = [page.to_json() for page in pages]
        return held

"""Reads the records of a bucket's objects: one object after the other, each through a file on disk.

An object is fetched whole before its first record is handed on, so that no connection waits while
the steps after it work, and memory holds no more than a page.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from fnmatch import translate
from tempfile import SpooledTemporaryFile
from typing import IO, Final, NamedTuple

from millrace import limits
from millrace.connectors.aws_targets import AwsRefused, AwsTargets, reaching
from millrace.connectors.element_readers import page_of
from millrace.connectors.file_reader import file_parts
from millrace.domain.base import Json
from millrace.domain.delta import DeltaWindow
from millrace.domain.errors import StepFailed
from millrace.domain.records import ExportPage
from millrace.domain.sources import S3Export

_CHUNK_BYTES: Final = 1_000_000
_CHANGED: Final = {"PreconditionFailed", "412"}
_GONE: Final = {"NoSuchKey", "404"}


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where an export goes on, small and as JSON, so that a checkpoint can hold it."""

    key: str
    """Of the object that was read last."""
    etag: str | None = None
    """Of the object while it is not read to its end."""
    skip: int = 0
    """How many of its records were handed on already."""


class _Object(NamedTuple):
    key: str
    etag: str
    skip: int = 0


class S3Exporter:
    """An export of objects at work."""

    def __init__(self, work: S3Export, targets: AwsTargets, window: DeltaWindow | None) -> None:
        targets.check("bucket", work.bucket, "read from")
        self._export = work
        self._connect = targets.s3
        self._window = window
        self._wanted = re.compile(translate(work.pattern or "*"))

    def pages(self, cursor: Json = None) -> Iterator[ExportPage]:
        """The pages from a cursor on; None: from the start.

        Raises StepFailed or StepTransient; the pages before stay good.
        """
        for found in self._objects(None if cursor is None else _Cursor(**cursor)):
            count = found.skip
            with self._fetched(found) as file:
                for part in file_parts(self._export, file, count):
                    count += len(part.elements)
                    is_over = part.is_last
                    here = _Cursor(found.key) if is_over else _Cursor(*found[:2], count)
                    yield replace(page_of(part.elements), next_cursor=asdict(here))
        # Whether an object follows is known only when none does.
        yield ExportPage([], [], None)

    def _objects(self, cursor: _Cursor | None) -> Iterator[_Object]:
        """The objects from a cursor on, which may be within the first."""
        if cursor is not None and cursor.etag is not None:
            yield _Object(cursor.key, cursor.etag, cursor.skip)
        if self._export.key is None:
            yield from self._listed(self._export.prefix or "", cursor)
        elif cursor is None:
            yield from self._single(self._export.key)

    def _listed(self, prefix: str, cursor: _Cursor | None) -> Iterator[_Object]:
        pages = iter(
            self._connect()
            .get_paginator("list_objects_v2")
            .paginate(
                Bucket=self._export.bucket,
                Prefix=prefix,
                StartAfter="" if cursor is None else cursor.key,
            )
        )
        while True:
            with self._reaching():
                page = next(pages, None)
            if page is None:
                return
            for each in page.get("Contents", ()):
                is_folder = each["Key"].endswith("/") and not each["Size"]
                is_wanted = self._wanted.match(each["Key"].removeprefix(prefix))
                if is_wanted and not is_folder and self._is_new(each["LastModified"]):
                    yield _Object(each["Key"], each["ETag"])

    def _single(self, key: str) -> Iterator[_Object]:
        with self._reaching(key):
            head = self._connect().head_object(Bucket=self._export.bucket, Key=key)
        if self._is_new(head["LastModified"]):
            yield _Object(key, head["ETag"])

    def _is_new(self, modified: datetime) -> bool:
        """Whether an object is in the window; S3 tells whole seconds.

        An object of the second in which a run began is read by that run, if it was there, and by
        the next.
        """
        window = self._window
        if window is None:
            return True
        return window.start.replace(microsecond=0) <= modified <= window.end

    def _fetched(self, found: _Object) -> IO[bytes]:
        file = SpooledTemporaryFile(_CHUNK_BYTES)  # noqa: SIM115 - closed by who reads it
        try:
            with self._reaching(found.key):
                answer = self._connect().get_object(
                    Bucket=self._export.bucket, Key=found.key, IfMatch=found.etag
                )
                for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
                    file.write(chunk)
                    _check_size(found.key, file.tell())
        except BaseException:
            # Whatever ends it, nobody else knows the file.
            file.close()
            raise
        file.seek(0)
        return file

    @contextmanager
    def _reaching(self, key: str = "") -> Iterator[None]:
        """As `reaching`; an object may be gone, or another one by now."""
        try:
            with reaching(f"bucket {self._export.bucket!r}", "read from"):
                yield
        except AwsRefused as error:
            if error.code in _CHANGED:
                message = f"object {key!r} was replaced while it was read; run again"
                raise StepFailed("objectChanged", message) from error
            if error.code in _GONE:
                raise StepFailed("objectMissing", f"there is no object {key!r}") from error
            raise StepFailed(error.code, error.message) from error


def _check_size(key: str, size: int) -> None:
    if size > limits.OUTBOUND_STREAM_BYTES:
        message = f"object {key!r} is larger than {limits.OUTBOUND_STREAM_BYTES:,} bytes"
        raise StepFailed("objectTooLarge", message)

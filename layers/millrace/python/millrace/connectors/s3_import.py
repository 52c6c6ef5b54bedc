"""Writes batches of records as objects of a bucket."""

import gzip
from collections.abc import Sequence

from millrace.connectors.aws_targets import AwsRefused, AwsTargets, reaching
from millrace.connectors.http_import import KeyFactory
from millrace.connectors.record_writers import CsvWriter, JsonWriter, NdjsonWriter, RecordWriter
from millrace.connectors.rendering import object_key
from millrace.domain.aws_imports import S3Import
from millrace.domain.base import Record
from millrace.domain.errors import StepFailed
from millrace.domain.formats import CsvFormat
from millrace.domain.records import Answer, Origin, Written
from millrace.domain.run_values import RunValues

_DIGEST_CHARACTERS = 16


class S3Importer:
    """An import to S3 at work."""

    def __init__(
        self, work: S3Import, targets: AwsTargets, values: RunValues, keys: KeyFactory
    ) -> None:
        targets.check("bucket", work.bucket)
        self._import = work
        self._connect = targets.s3
        self._values = values
        self._keys = keys
        self._writer = _writer(work)

    @property
    def batch_size(self) -> int:
        """Records of an object, at most."""
        return self._import.batch_size

    def write(self, records: Sequence[Record], origins: Sequence[Origin]) -> Written:
        """Put one object; the same records of the same origin always have the same key.

        Raises StepFailed or StepTransient.
        """
        body = self._writer.body(records)
        if not body.sent:
            return Written(body.failures)
        digest = self._keys(origins[0], body.data)[:_DIGEST_CHARACTERS]
        key = object_key(self._import, self._values, f"{origins[0].position:012d}-{digest}")
        try:
            with reaching(f"bucket {self._import.bucket!r}"):
                self._put(key, body.data)
        except AwsRefused as error:
            raise StepFailed(error.code, error.message) from error
        answer = Answer(200, lambda: {"bucket": self._import.bucket, "key": key}, key)
        return Written(body.failures, answers=dict.fromkeys(body.sent, answer))

    def _put(self, key: str, data: bytes) -> None:
        client, bucket, kind = self._connect(), self._import.bucket, self._writer.content_type
        if self._import.gzip:
            packed = gzip.compress(data, mtime=0)
            client.put_object(
                Bucket=bucket, Key=key, Body=packed, ContentType=kind, ContentEncoding="gzip"
            )
        else:
            client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=kind)


def _writer(work: S3Import) -> RecordWriter:
    match work.format:
        case "json":
            return JsonWriter()
        case "ndjson":
            return NdjsonWriter()
        case "csv":
            return CsvWriter(work.csv or CsvFormat())

"""Objects of a bucket are read record by record, and an export goes on where it was cut off."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber
from tests.support.aws import BUCKET, TARGET_PREFIX, simulated_aws

from millrace import limits
from millrace.connectors.aws_targets import AwsTargets
from millrace.connectors.s3_export import S3Exporter
from millrace.domain.base import Json, Record
from millrace.domain.delta import DeltaWindow
from millrace.domain.errors import StepError, StepFailed, StepTransient
from millrace.domain.records import ExportPage
from millrace.domain.sources import S3Export

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = f"{TARGET_PREFIX}orders"


@pytest.fixture
def s3() -> "Iterator[S3Client]":
    """An empty bucket that flows may read."""
    with simulated_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=NAME)
        yield client


def exporter(s3: "S3Client", window: DeltaWindow | None = None, **work: Json) -> S3Exporter:
    """An export of the bucket."""
    targets = AwsTargets(
        s3=lambda: s3,
        dynamodb=lambda: boto3.client("dynamodb"),
        sqs=lambda: boto3.client("sqs"),
        prefix=TARGET_PREFIX,
        own=frozenset({BUCKET}),
    )
    return S3Exporter(S3Export.model_validate({"bucket": NAME, **work}), targets, window)


def records(pages: Iterator[ExportPage]) -> list[Record]:
    """All records in order."""
    return [record for page in pages for record in page.records]


def put(s3: "S3Client", **objects: bytes) -> None:
    """Objects below `in/`, `_` in their names for `.`."""
    for name, body in objects.items():
        s3.put_object(Bucket=NAME, Key=f"in/{name.replace('_', '.')}", Body=body)


@pytest.mark.parametrize(
    ("body", "work"),
    [
        (b'[{"id": "1"}, {"id": "2"}]', {}),
        (b'{"data": [{"id": "1"}, {"id": "2"}]}', {"recordsPath": "/data"}),
        (b'{"id": "1"}\n{"id": "2"}\n', {"format": "ndjson"}),
        (b"\xef\xbb\xbfid\n1\n2\n", {"format": "csv"}),
        (
            b"<a><b><id>1</id></b><b><id>2</id></b></a>",
            {"format": "xml", "xml": {"recordPath": "/a/b"}},
        ),
        (gzip.compress(b'[{"id": "1"}, {"id": "2"}]'), {}),
        (gzip.compress(b'{"id": "1"}\n{"id": "2"}\n'), {"format": "ndjson"}),
        (gzip.compress(b"id\n1\n2\n"), {"format": "csv"}),
    ],
    ids=[
        *("json", "json at a path", "ndjson", "csv with a mark", "xml"),
        *("json in gzip", "ndjson in gzip", "csv in gzip"),
    ],
)
def test_an_object_is_read_in_each_format(s3: "S3Client", body: bytes, work: Json) -> None:
    """Compressed or not, which shows in its first bytes."""
    put(s3, orders=body)
    found = records(exporter(s3, key="in/orders", **work).pages())
    assert found == [{"id": "1"}, {"id": "2"}]


def test_all_objects_that_fit_are_read_in_the_order_of_their_keys(s3: "S3Client") -> None:
    """Of the prefix and the pattern; what stands for a folder is none."""
    put(s3, b_json=b'{"id": 2}', a_json=b'{"id": 1}', a_txt=b"no JSON")
    s3.put_object(Bucket=NAME, Key="in/folder.json/", Body=b"")
    s3.put_object(Bucket=NAME, Key="other.json", Body=b'{"id": 3}')
    assert records(exporter(s3, prefix="in/", pattern="*.json").pages()) == [{"id": 1}, {"id": 2}]
    assert records(exporter(s3, prefix="nothing").pages()) == []


def test_more_objects_than_one_list_has_are_read(s3: "S3Client") -> None:
    """S3 lists 1,000 at a time."""
    for number in range(1_001):
        s3.put_object(Bucket=NAME, Key=f"{number:04d}", Body=b"{}")
    assert len(records(exporter(s3, prefix="").pages())) == 1_001


def test_an_export_goes_on_from_each_page(s3: "S3Client") -> None:
    """Also within an object, and nothing comes twice."""
    lines = [json.dumps({"id": n}) for n in range(2 * limits.PAGE_RECORDS + 1)]
    put(s3, a="\n".join(lines).encode(), b=b'{"id": "b"}')
    work: dict[str, Json] = {"prefix": "in/", "format": "ndjson"}
    pages = list(exporter(s3, **work).pages())
    whole = records(iter(pages))
    assert len(whole) == 2 * limits.PAGE_RECORDS + 2
    assert pages[-1].next_cursor is None
    done = 0
    for page in pages[:-1]:
        done += len(page.records)
        cursor = json.loads(json.dumps(page.next_cursor))
        assert records(exporter(s3, **work).pages(cursor)) == whole[done:]


def test_an_object_that_is_replaced_meanwhile_is_told(s3: "S3Client") -> None:
    """What was read of it has no place in the other."""
    put(s3, a=b"\n".join([b"{}"] * (limits.PAGE_RECORDS + 1)))
    work: dict[str, Json] = {"key": "in/a", "format": "ndjson"}
    first = next(exporter(s3, **work).pages())
    put(s3, a=b"{}")
    with pytest.raises(StepFailed) as failed:
        list(exporter(s3, **work).pages(first.next_cursor))
    assert failed.value.code == "objectChanged"


def test_a_delta_reads_the_objects_of_its_window(s3: "S3Client") -> None:
    """By when they were written, to the second."""
    put(s3, a=b'{"id": 1}')
    now = s3.head_object(Bucket=NAME, Key="in/a")["LastModified"].astimezone(UTC)

    def read(start: datetime, end: datetime, **work: Json) -> int:
        window = DeltaWindow(start=start, end=end, format="rfc3339", began_at=end)
        return len(records(exporter(s3, window, **work).pages()))

    second = timedelta(seconds=1)
    for work in ({"prefix": ""}, {"key": "in/a"}):
        assert read(now - second, now + second, **work) == 1
        assert read(now + second / 2, now + second, **work) == 1
        assert read(now + second, now + 2 * second, **work) == 0
        assert read(now - 2 * second, now - second, **work) == 0


@pytest.mark.parametrize(
    ("bucket", "work", "code"),
    [
        (BUCKET, {"prefix": ""}, "targetNotAllowed"),
        ("somebody-elses", {"prefix": ""}, "targetNotAllowed"),
        (f"{TARGET_PREFIX}missing", {"prefix": ""}, "targetMissing"),
        (NAME, {"key": "missing"}, "objectMissing"),
        (NAME, {"key": "in/cut", "format": "csv"}, "notWhole"),
        (NAME, {"key": "in/text"}, "notJson"),
    ],
)
def test_what_cannot_be_read_is_told(s3: "S3Client", bucket: str, work: Json, code: str) -> None:
    """The bundle's own bucket holds all workspaces, so no flow reads from it."""
    put(s3, cut=b'id\n"1', text=b"no JSON at all")
    with pytest.raises(StepFailed) as failed:
        list(exporter(s3, bucket=bucket, **work).pages())
    assert failed.value.code == code


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, StepFailed),
        ("SlowDown", 503, StepTransient),
        ("InternalError", 500, StepTransient),
        ("InvalidRequest", 400, StepFailed),
    ],
)
def test_an_error_of_the_service_is_transient_if_it_may_pass(
    s3: "S3Client", code: str, status: int, kind: type[StepError]
) -> None:
    """So that the machine tries the step again."""
    with Stubber(s3) as stub:
        stub.add_client_error("list_objects_v2", code, http_status_code=status)
        with pytest.raises(kind, match=code):
            list(exporter(s3, prefix="").pages())


def test_an_object_beyond_the_limit_is_refused(
    s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of the worker holds it while it is read."""
    monkeypatch.setattr(limits, "OUTBOUND_STREAM_BYTES", 10)
    put(s3, a=b'{"id": "more than ten bytes"}')
    with pytest.raises(StepFailed) as failed:
        list(exporter(s3, prefix="in/", format="ndjson").pages())
    assert failed.value.code == "objectTooLarge"

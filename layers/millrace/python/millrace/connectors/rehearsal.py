"""Reading and writing for tests of flows: with little patience, and without sending anything."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from gzip import decompress as gunzip
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from millrace.connectors.aws_targets import AwsTargets
from millrace.connectors.http_messages import HttpRequest, HttpResponse, Transport
from millrace.connectors.patience import within
from millrace.domain.base import Json
from millrace.domain.errors import StepTransient
from millrace.domain.ports import Exporter, Unsent
from millrace.domain.quick_json import dump
from millrace.domain.records import ExportPage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_LATE: Final = ExportPage([], [], None)
_END: Final = ExportPage([], [], None)


@dataclass(frozen=True, slots=True)
class Sampler:
    """An exporter whose pages are waited for so long."""

    exporter: Exporter
    seconds: float

    def pages(self, cursor: Json) -> Iterator[ExportPage]:
        """See Exporter."""
        pages = self.exporter.pages(cursor)
        while True:
            page = within(self.seconds, lambda: next(pages, _END), _LATE)
            if page is _LATE:
                message = f"no whole page within {self.seconds:.0f} s"
                raise StepTransient("timedOut", message)
            if page is _END:
                return
            yield page


@dataclass(frozen=True, slots=True)
class HidingTransport:
    """A transport that tells of each request what may not be shown of its answer."""

    transport: Transport
    hide: Callable[[Iterable[str]], None]

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport."""
        self.hide(request.secrets)
        return self.transport.exchange(request)


@dataclass(frozen=True, slots=True)
class NotingTransport:
    """A transport that sends nothing, and takes every request for done."""

    note: Callable[[Unsent], None]
    hide: Callable[[Iterable[str]], None]

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport."""
        self.hide(request.secrets)
        self.note(Unsent(request.method, request.url, request.headers, request.body or b""))
        return HttpResponse(HTTPStatus.OK, {}, b"", is_made_up=True)


def noting_targets(targets: AwsTargets, note: Callable[[Unsent], None]) -> AwsTargets:
    """Services that write nothing, and take everything for done."""
    noting = _NotingServices(note)
    return replace(
        targets,
        s3=lambda: cast("S3Client", noting),
        dynamodb=lambda: cast("DynamoDBClient", noting),
        sqs=lambda: cast("SQSClient", noting),
    )


@dataclass(frozen=True, slots=True)
class _NotingServices:
    """The calls by which imports write to AWS, with the parameters of boto3."""

    note: Callable[[Unsent], None]

    def put_object(self, **given: Any) -> Json:  # noqa: ANN401 - as boto3 has it
        body = given["Body"]
        packed = given.get("ContentEncoding") == "gzip"
        address = f"s3://{given['Bucket']}/{given['Key']}"
        headers = {"Content-Type": given["ContentType"]}
        if packed:
            headers["Content-Encoding"] = "gzip"
        self.note(Unsent("PutObject", address, headers, gunzip(body) if packed else body))
        return {}

    def batch_write_item(self, **given: Any) -> Json:  # noqa: ANN401 - as boto3 has it
        for table, requests in given["RequestItems"].items():
            self.note(Unsent("BatchWriteItem", f"dynamodb://{table}", {}, dump(requests)))
        return {"UnprocessedItems": {}}

    def get_queue_url(self, **given: Any) -> Json:  # noqa: ANN401 - as boto3 has it
        return {"QueueUrl": f"sqs://{given['QueueName']}"}

    def send_message_batch(self, **given: Any) -> Json:  # noqa: ANN401 - as boto3 has it
        entries = given["Entries"]
        self.note(Unsent("SendMessageBatch", given["QueueUrl"], {}, dump(entries)))
        return {"Successful": [{"Id": each["Id"], "MessageId": ""} for each in entries]}

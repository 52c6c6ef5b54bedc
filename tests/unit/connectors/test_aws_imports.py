"""Imports to S3, DynamoDB and SQS: each record once, the bad ones named, errors told apart."""

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any, Final, cast

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pydantic import ValidationError
from tests.support.aws import BUCKET, REGION, TABLE, TARGET_PREFIX, create_stack, simulated_aws
from tests.support.samples import origins

from millrace.connectors.aws_importers import aws_importer
from millrace.connectors.aws_targets import AwsTargets
from millrace.connectors.dynamodb_import import DynamoDbImporter
from millrace.connectors.sqs_import import SqsImporter
from millrace.domain.action import ImportAction
from millrace.domain.aws_imports import DynamoDbImport, S3Import, SqsImport
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed, StepTransient
from millrace.domain.ports import Importer
from millrace.domain.records import idempotency_key
from millrace.domain.run_values import RunValues

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

LAKE: Final = "millrace-data-lake"
ORDERS: Final = "millrace-data-orders"
VALUES: Final = RunValues({"run": {"id": "run_7"}}, {"region": "eu"})


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    """An account with the bundle's own resources, and a target of each kind."""
    with simulated_aws():
        create_stack()
        where: Any = {"LocationConstraint": REGION}
        boto3.client("s3").create_bucket(Bucket=LAKE, CreateBucketConfiguration=where)
        boto3.client("dynamodb").create_table(
            TableName=ORDERS,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        sqs = boto3.client("sqs")
        sqs.create_queue(QueueName=ORDERS)
        sqs.create_queue(QueueName=f"{ORDERS}.fifo", Attributes={"FifoQueue": "true"})
        yield


def targets(**clients: Any) -> AwsTargets:  # noqa: ANN401 - clients, or what takes their place
    """What flows may write to; some of the clients replaced."""
    return AwsTargets(
        lambda: clients.get("s3") or boto3.client("s3"),
        lambda: clients.get("dynamodb") or boto3.client("dynamodb"),
        lambda: clients.get("sqs") or boto3.client("sqs"),
        TARGET_PREFIX,
        frozenset({TABLE, BUCKET}),
    )


def importer(**target: Json) -> Importer:
    """The writer of an import with this target."""
    work = ImportAction.model_validate({"type": "Import", **target})
    return aws_importer(
        work, targets(), VALUES, lambda origin, body: idempotency_key(origin, "step", body)
    )


def objects() -> dict[str, bytes]:
    """What the bucket holds."""
    s3 = boto3.client("s3")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=LAKE).get("Contents", [])]
    return {key: s3.get_object(Bucket=LAKE, Key=key)["Body"].read() for key in keys}


def items() -> dict[str, Any]:
    """What the table holds, by id."""
    found = boto3.client("dynamodb").scan(TableName=ORDERS)["Items"]
    return {item["id"]["S"]: item for item in found}


def messages(queue: str = ORDERS) -> list[Any]:
    """What the queue holds."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found: list[Any] = []
    while got := sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        AttributeNames=["All"],
        MessageAttributeNames=["All"],
    ).get("Messages"):
        for each in got:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        found += got
    return found


def client_error(code: str, status: int = 400) -> ClientError:
    """An error as boto3 raises it."""
    response: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "Operation")


# ---------------------------------------------------------------- S3


def test_a_batch_becomes_an_object_once() -> None:
    """The same records have the same key again, other records another one."""
    write = importer(s3={"bucket": LAKE, "key": "orders/{{ part }}.ndjson", "batchSize": 2})
    assert write.batch_size == 2
    for _ in range(2):
        written = write.write([{"id": 1}, {"id": "ü"}], origins(2, 40))
    (key,) = objects()
    assert key.startswith("orders/000000000040-")
    assert objects()[key].decode() == '{"id":1}\n{"id":"ü"}\n'
    assert written.failures == []
    assert written.answers[1].id == key
    write.write([{"id": 2}], origins(1, 40))
    assert len(objects()) == 2


@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_an_object_has_the_format_that_is_asked_for(form: str, *, is_gzip: bool) -> None:
    """It says so in its headers, and can be read again."""
    target = {"bucket": LAKE, "key": "{{part}}", "format": form, "gzip": is_gzip}
    importer(s3=target).write([{"id": "1"}, {"id": "2"}], origins(2))
    ((key, data),) = objects().items()
    text = (gzip.decompress(data) if is_gzip else data).decode()
    read: dict[str, Callable[[], list[Record]]] = {
        "json": lambda: json.loads(text),
        "ndjson": lambda: [json.loads(line) for line in text.splitlines()],
        "csv": lambda: [*csv.DictReader(StringIO(text))],
    }
    assert read[form]() == [{"id": "1"}, {"id": "2"}]
    head = boto3.client("s3").head_object(Bucket=LAKE, Key=key)
    kinds = {"json": "application/json", "ndjson": "application/x-ndjson"}
    assert head["ContentType"] == kinds.get(form, "text/csv; charset=utf-8")
    assert head.get("ContentEncoding") == ("gzip" if is_gzip else None)


def test_r13_one_poison_record_among_a_thousand_is_left_out() -> None:
    """The other 999 are in the object."""
    records: list[Record] = [{"id": number} for number in range(1_000)]
    records[613] = {"id": float("nan")}
    written = importer(s3={"bucket": LAKE, "key": "{{ part }}"}).write(records, origins(1_000))
    assert [(each.index, each.code) for each in written.failures] == [(613, "notJson")]
    (data,) = objects().values()
    assert len(data.splitlines()) == 999


def test_a_key_may_hold_expressions() -> None:
    """Over what the run has; not a secret, which everybody who lists the bucket would see."""
    key = "{{ variables.region }}/{{ run.id }}/{{ part }}.ndjson"
    importer(s3={"bucket": LAKE, "key": key}).write([{"id": 1}], origins(1))
    assert next(iter(objects())).startswith("eu/run_7/000000000000-")
    work = ImportAction.model_validate({"type": "Import", "s3": {"bucket": LAKE, "key": key}})
    secret = RunValues({"run": {"id": "run_7"}}, {"region": "eu"}, frozenset({"region"}))
    with pytest.raises(StepFailed, match="'region' is secret"):
        aws_importer(work, targets(), secret, lambda *_: "key").write([{"id": 1}], origins(1))


# ---------------------------------------------------------------- DynamoDB


def dynamodb(**changes: Json) -> Importer:
    """An import to the table."""
    return importer(dynamodb={"table": ORDERS, "key": ["id"], **changes})


def test_records_become_items_exactly() -> None:
    """Numbers digit by digit, in any number of batches, and once more without a change."""
    records: list[Record] = [
        {"id": f"o{number}", "total": 0.1, "big": 10**30 + number, "tags": ["a", None, True]}
        for number in range(60)
    ]
    for _ in range(2):
        assert dynamodb().write(records, origins(60)).failures == []
    assert len(items()) == 60
    assert items()["o59"] == {
        "id": {"S": "o59"},
        "total": {"N": "0.1"},
        "big": {"N": str(10**30 + 59)},
        "tags": {"L": [{"S": "a"}, {"NULL": True}, {"BOOL": True}]},
    }


def test_the_later_of_two_records_of_one_key_stays() -> None:
    """DynamoDB takes no key twice in a batch, so they go one after the other."""
    records: list[Record] = [{"id": "a", "n": number} for number in range(3)]
    assert dynamodb().write([*records, {"id": "b"}], origins(4)).failures == []
    assert items()["a"]["n"] == {"N": "2"}
    assert set(items()) == {"a", "b"}


def test_deleting_needs_the_key_alone() -> None:
    """What else the record holds does not matter, nor whether the item is there."""
    dynamodb().write([{"id": "a"}, {"id": "b"}], origins(2))
    gone: list[Record] = [{"id": "a", "why": "old"}, {"id": "c"}]
    assert dynamodb(operation="delete").write(gone, origins(2)).failures == []
    assert set(items()) == {"b"}


def nested(levels: int) -> Json:
    """An array in an array, so many of them."""
    value: Json = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_items_that_cannot_be_written_fail_alone() -> None:
    """Those that DynamoDB refuses, whole batch and all, and those that it could not hold."""
    records: list[Record] = [
        {"id": "a"},
        {"name": "no key"},
        {"id": 7},
        {"id": "b", "n": 10**40 + 1},
        {"id": "c", "t": "\ud800"},
        {"id": "d", "long": "x" * 410_000},
        {"id": "e"},
        {"id": "f", "deep": nested(600)},
        {"id": "g", "deep": nested(100_000)},
        {"id": "h", "deep": nested(32)},
    ]
    written = dynamodb().write(records, origins(10))
    assert [(each.index, each.code) for each in written.failures] == [
        (1, "keyMissing"),
        (2, "ValidationException"),
        (3, "numberNotExact"),
        (4, "textNotUnicode"),
        (5, "ValidationException"),
        (7, "nestedTooDeep"),
        (8, "nestedTooDeep"),
    ]
    assert set(items()) == {"a", "e", "h"}
    assert set(written.answers) == {0, 6, 9}


@dataclass
class LeavingTable:
    """Leaves the last request of each batch unwritten, so many times."""

    times: int
    taken: list[Any] = field(default_factory=list)

    def batch_write_item(self, **given: Any) -> Json:  # noqa: ANN401 - as boto3 has it
        """See DynamoDBClient."""
        requests = list(given["RequestItems"][ORDERS])
        left = [requests.pop()] if self.times > 0 else []
        self.times -= 1
        self.taken += requests
        return {"UnprocessedItems": {ORDERS: left} if left else {}}


def leaving(table: LeavingTable, slept: list[float]) -> DynamoDbImporter:
    """An importer to a table that is busy."""
    work = DynamoDbImport(table=ORDERS, key=("id",))
    client = cast("DynamoDBClient", table)
    return DynamoDbImporter(work, targets(dynamodb=client), slept.append)


def test_what_a_batch_leaves_is_sent_again() -> None:
    """After a pause that grows; a table that stays busy is left to the machine."""
    slept: list[float] = []
    table = LeavingTable(2)
    records: list[Record] = [{"id": str(number)} for number in range(3)]
    assert leaving(table, slept).write(records, origins(3)).failures == []
    assert len(table.taken) == 3
    assert slept == sorted(slept)
    assert len(slept) == 2
    with pytest.raises(StepTransient, match="keeps leaving items"):
        leaving(LeavingTable(99), slept).write(records, origins(3))


# ---------------------------------------------------------------- SQS


def test_records_become_messages_that_can_be_told_apart() -> None:
    """Each with the key of its origin, the same for the same record again."""
    write = importer(sqs={"queue": ORDERS})
    records: list[Record] = [{"id": number, "name": "Zoë\uffff"} for number in range(23)]
    written = write.write(records, origins(23))
    assert written.failures == []
    assert all(written.answers[index].id for index in range(23))
    first = messages()
    assert sorted(json.loads(each["Body"])["id"] for each in first) == list(range(23))
    assert json.loads(first[0]["Body"])["name"] == "Zoë\uffff"
    write.write(records[:1], origins(1))
    (again,) = messages()
    keys = {
        json.loads(each["Body"])["id"]: each["MessageAttributes"]["IdempotencyKey"]["StringValue"]
        for each in first
    }
    assert again["MessageAttributes"]["IdempotencyKey"]["StringValue"] == keys[0]
    assert len(set(keys.values())) == 23


def test_a_fifo_queue_takes_a_record_once_and_in_order() -> None:
    """The deduplication id is the record's key, the group what the expression says."""
    write = importer(sqs={"queue": f"{ORDERS}.fifo", "group": "customer"})
    records: list[Record] = [{"customer": 1, "n": 1}, {"customer": 1, "n": 2}, {"n": 3}]
    for _ in range(2):
        written = write.write(records, origins(3))
        assert [(each.index, each.code) for each in written.failures] == [(2, "groupMissing")]
    found = messages(f"{ORDERS}.fifo")
    assert [json.loads(each["Body"])["n"] for each in found] == [1, 2]
    assert {each["Attributes"]["MessageGroupId"] for each in found} == {"1"}


def test_a_group_may_speak_of_the_run() -> None:
    """Of its variables as of all else, but for secrets, which would be told to the queue."""
    queue = f"{ORDERS}.fifo"
    group = "$variables.region & '-' & customer & '-' & $run.id"
    importer(sqs={"queue": queue, "group": group}).write([{"customer": 1}], origins(1))
    (found,) = messages(queue)
    assert found["Attributes"]["MessageGroupId"] == "eu-1-run_7"
    secret = RunValues({}, {"region": "eu"}, frozenset({"region"}))
    large = RunValues({}, {"region": 2**60})
    for values, code in ((secret, "secretInRecords"), (large, "numberNotExact")):
        with pytest.raises(StepFailed) as raised:
            SqsImporter(SqsImport(queue=queue, group=group), targets(), values, lambda *_: "key")
        assert raised.value.code == code


def test_a_message_too_large_fails_alone() -> None:
    """Large ones go by themselves, so that a batch keeps within what SQS takes."""
    records: list[Record] = [{"t": "x" * 200_000}] * 3
    records += [{"t": "x" * 1_100_000}, {"id": 1}]
    written = importer(sqs={"queue": ORDERS}).write(records, origins(5))
    assert [(each.index, each.code) for each in written.failures] == [(3, "tooLarge")]
    assert len(messages()) == 4


@dataclass
class PickyQueue:
    """Refuses message 1 for good, and message 2 so many times."""

    times: int
    batches: list[list[str]] = field(default_factory=list)

    def get_queue_url(self, **_: Any) -> Json:  # noqa: ANN401 - as boto3 has it
        """See SQSClient."""
        return {"QueueUrl": "https://sqs.example/queue"}

    def send_message_batch(self, **given: Any) -> Json:  # noqa: ANN401 - as boto3 has it
        """See SQSClient."""
        ids = [entry["Id"] for entry in given["Entries"]]
        self.batches.append(ids)
        failed = []
        if "1" in ids:
            failed.append({"Id": "1", "SenderFault": True, "Code": "Bad", "Message": "no"})
        if "2" in ids and self.times > 0:
            self.times -= 1
            failed.append({"Id": "2", "SenderFault": False, "Code": "InternalError"})
        refused = {each["Id"] for each in failed}
        sent = [{"Id": id_, "MessageId": f"m{id_}"} for id_ in ids if id_ not in refused]
        return {"Successful": sent, "Failed": failed}


def test_a_batch_that_is_taken_in_part_is_taken_up_where_it_failed() -> None:
    """The sender's fault is the record's failure; the queue's own is tried again."""
    records: list[Record] = [{"n": number} for number in range(4)]
    slept: list[float] = []

    def picky(queue: PickyQueue) -> SqsImporter:
        client = cast("SQSClient", queue)
        return SqsImporter(
            SqsImport(queue=ORDERS), targets(sqs=client), VALUES, lambda *_: "key", slept.append
        )

    queue = PickyQueue(1)
    written = picky(queue).write(records, origins(4))
    assert [(each.index, each.code, each.message) for each in written.failures] == [
        (1, "Bad", "no")
    ]
    assert queue.batches == [["0", "1", "2", "3"], ["2"]]
    with pytest.raises(StepTransient, match="keeps leaving messages"):
        picky(PickyQueue(99)).write(records, origins(4))


# ---------------------------------------------------------------- all


@pytest.mark.parametrize(
    "target",
    [
        {"s3": {"bucket": BUCKET, "key": "{{ part }}"}},
        {"dynamodb": {"table": TABLE, "key": ["pk", "sk"]}},
        {"sqs": {"queue": "others"}},
        {"s3": {"bucket": "others-bucket", "key": "{{ part }}"}},
    ],
    ids=["own bucket", "own table", "queue", "bucket"],
)
def test_flows_reach_nothing_but_what_is_named_for_them(target: Json) -> None:
    """Least of all the bundle's own table, which holds every workspace."""
    with pytest.raises(StepFailed, match="begin with 'millrace-data-'") as raised:
        importer(**target)
    assert raised.value.code == "targetNotAllowed"


def test_own_resources_are_out_of_reach_whatever_the_prefix() -> None:
    """A prefix that is chosen badly opens nothing."""
    all_of_it = AwsTargets(
        targets().s3, targets().dynamodb, targets().sqs, "millrace", frozenset({TABLE, BUCKET})
    )
    with pytest.raises(StepFailed):
        all_of_it.check("table", TABLE)
    all_of_it.check("table", "millrace-data-orders")


TARGETS: Final[dict[str, Json]] = {
    "s3": {"s3": {"bucket": "millrace-data-none", "key": "{{ part }}"}},
    "dynamodb": {"dynamodb": {"table": "millrace-data-none", "key": ["id"]}},
    "sqs": {"sqs": {"queue": "millrace-data-none"}},
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_that_is_not_there_fails_the_step(name: str) -> None:
    """No record could be written."""
    with pytest.raises(StepFailed) as raised:
        importer(**TARGETS[name]).write([{"id": "a"}], origins(1))
    assert raised.value.code == "targetMissing"


@dataclass(frozen=True)
class BrokenService:
    """Raises the same error for every call."""

    error: Exception

    def put_object(self, **_: Any) -> Json:  # noqa: ANN401 - as boto3 has it
        """See S3Client."""
        raise self.error

    batch_write_item = send_message_batch = get_queue_url = put_object


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (client_error("SlowDown", 503), StepTransient, "throttled"),
        (client_error("ProvisionedThroughputExceededException"), StepTransient, "throttled"),
        (client_error("AccessDenied", 403), StepFailed, "accessDenied"),
        (client_error("InternalError", 500), StepTransient, "http500"),
        (EndpointConnectionError(endpoint_url="x"), StepTransient, "awsUnreachable"),
    ],
    ids=["slow down", "throughput", "denied", "trouble", "unreachable"],
)
def test_errors_of_aws_say_whether_to_come_back(
    name: str, error: Exception, kind: type[Exception], code: str
) -> None:
    """What may pass is left to the machine; what needs a person says so."""
    work = ImportAction.model_validate({"type": "Import", **TARGETS[name]})
    broken = targets(**{name: BrokenService(error)})
    with pytest.raises(kind) as raised:
        aws_importer(work, broken, VALUES, lambda *_: "key").write([{"id": "a"}], origins(1))
    assert getattr(raised.value, "code", None) == code


@pytest.mark.parametrize(
    ("work", "words"),
    [
        ({}, "Expected http, s3, dynamodb or sqs"),
        ({**TARGETS["s3"], **TARGETS["sqs"]}, "s3 and sqs contradict each other"),
        ({**TARGETS["s3"], "connectionId": "con_1"}, "Only http has a connection"),
        ({"http": {"path": "/a"}}, "http needs the connection"),
        ({"s3": {"bucket": LAKE, "key": "orders.json"}}, "Each object would replace"),
        *(
            ({"s3": {"bucket": LAKE, "key": key}}, "Each object would replace")
            for key in (
                "{{ parameters.part }}",
                '{{ "part" }}',
                "{{ $part }}",
                "{{ partner }}",
                "{{ run.id }}-part",
            )
        ),
        ({"sqs": {"queue": "a.fifo"}}, "A FIFO queue needs a message group"),
        ({"sqs": {"queue": "https://sqs.example/a"}}, "pattern"),
    ],
)
def test_what_makes_no_sense_is_refused(work: Json, words: str) -> None:
    """The author is told before anything runs."""
    with pytest.raises(ValidationError, match=words):
        ImportAction.model_validate({"type": "Import", **work})


@pytest.mark.parametrize("key", ["{{part}}", '{{ {"a": 1}.a & "-" & part }}', "{{ (\npart) }}"])
def test_the_part_may_stand_in_an_expression(key: str) -> None:
    """Whatever else it holds."""
    work = S3Import.model_validate({"bucket": LAKE, "key": f"{{{{ run.id }}}}/{key}"})
    assert work.key.endswith(key)

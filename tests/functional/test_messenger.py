"""What targets get: posts over a real socket, SNS and mail on simulated AWS."""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime

import boto3
import pytest
from tests.functional.loopback_server import LOOPBACK, answer, serving
from tests.support.aws import simulated_aws

from millrace.connectors.messenger import AwsMessenger, signature
from millrace.domain.notification_group import EmailTarget, SnsTarget, UrlTarget
from millrace.domain.ports import Message, Undelivered

MESSAGE = Message(
    id="msg_1",
    workspace_id="ws_1",
    at=datetime(2026, 1, 31, 12, tzinfo=UTC),
    title="Millrace: Bestellungen ü\r\nX: y: failed",
    body={"type": "run.failed", "data": {"runId": "run_1"}},
    secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
)
SENDER = "millrace@example.com"


@pytest.fixture
def messenger() -> Iterator[AwsMessenger]:
    """The messenger over simulated AWS."""
    with simulated_aws():
        yield AwsMessenger(
            lambda region: boto3.client("sns", region),
            lambda: boto3.client("sesv2"),
            SENDER,
            lambda: LOOPBACK,
        )


def url(text: str) -> UrlTarget:
    """A target to post to."""
    return UrlTarget(type="url", url=text)


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of the specification, whose secret, text and signature are published."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = signature(
        secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_post_is_signed_over_what_is_sent(messenger: AwsMessenger) -> None:
    """Headers and body as a receiver checks them."""
    with serving(answer(204)) as server:
        messenger.send(url(f"{server.url}/hook?a=1"), MESSAGE)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /hook?a=1 HTTP/1.1"
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1769860800")
    assert json.loads(body) == MESSAGE.body
    key = b64decode(str(MESSAGE.secret).removeprefix("whsec_"))
    mac = hmac.digest(key, b"msg_1.1769860800." + body, "sha256")
    assert f"webhook-signature: v1,{b64encode(mac).decode()}".lower() in head.decode().lower()


@pytest.mark.parametrize(
    ("status", "headers", "gone"),
    [
        (301, "Location: /hook\r\n", False),
        (404, "", False),
        (410, "", True),
        (429, "Retry-After: 7\r\n", False),
        (503, "", False),
    ],
)
def test_r16_all_but_success_is_a_failure(
    messenger: AwsMessenger, status: int, headers: str, *, gone: bool
) -> None:
    """One try, no redirect followed; 410 means that the receiver is gone."""
    with serving(answer(status, headers=headers)) as server:
        with pytest.raises(Undelivered, match=str(status)) as caught:
            messenger.send(url(f"{server.url}/hook/secret-path"), MESSAGE)
        assert len(server.requests) == 1
    assert caught.value.gone == gone
    assert "secret-path" not in caught.value.message


def test_r16_the_body_of_an_answer_is_ignored(messenger: AwsMessenger) -> None:
    """50 MB after a 200 are not read, and do no harm."""
    with serving(answer(200, b"x" * 50_000_000), answer(200)) as server:
        messenger.send(url(server.url), MESSAGE)
        messenger.send(url(server.url), MESSAGE)
    assert len(server.requests) == 2


def test_nobody_at_home_is_a_failure(messenger: AwsMessenger) -> None:
    """In words without the address's path."""
    with serving() as server:
        address = f"{server.url}/secret-path"
    with pytest.raises(Undelivered) as caught:
        messenger.send(url(address), MESSAGE)
    assert "secret-path" not in caught.value.message


@pytest.mark.parametrize("name", ["millrace-ops", "millrace-ops.fifo"])
def test_a_topic_gets_the_message(messenger: AwsMessenger, name: str) -> None:
    """In the topic's own region, with a subject that SNS takes."""
    sns, sqs = boto3.client("sns", "eu-central-1"), boto3.client("sqs", "eu-central-1")
    fifo = {"FifoTopic": "true"} if name.endswith(".fifo") else {}
    topic = sns.create_topic(Name=name, Attributes=fifo)["TopicArn"]
    queue = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if fifo else {})[
        "QueueUrl"
    ]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])
    messenger.send(SnsTarget(type="sns", topic_arn=topic), MESSAGE)
    (got,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    told = json.loads(got["Body"])
    assert json.loads(told["Message"]) == MESSAGE.body
    assert told["Subject"] == "Millrace: Bestellungen ???X: y: failed"


def test_s6_a_target_inside_is_not_posted_to(messenger: AwsMessenger) -> None:
    """Fault S6: it may have been stored while its network was allowed."""
    with pytest.raises(Undelivered, match="leads to an address that is not public"):
        messenger.send(url("http://169.254.169.254/hook"), MESSAGE)


def test_a_topic_that_is_not_there_is_a_failure(messenger: AwsMessenger) -> None:
    """It may be made later."""
    arn = "arn:aws:sns:eu-west-1:123456789012:millrace-none"
    with pytest.raises(Undelivered, match="NotFound"):
        messenger.send(SnsTarget(type="sns", topic_arn=arn), MESSAGE)


def test_mail_is_sent_from_the_address_of_the_stack(messenger: AwsMessenger) -> None:
    """SES takes it only of a sender that was verified; without one there is no mail."""
    target = EmailTarget(type="email", address="ops@example.com")
    with pytest.raises(Undelivered, match=r"Rejected|NotVerified"):
        messenger.send(target, MESSAGE)
    boto3.client("ses").verify_email_identity(EmailAddress=SENDER)
    messenger.send(target, MESSAGE)
    assert boto3.client("ses").get_send_quota()["SentLast24Hours"] == 1
    silent = AwsMessenger(
        lambda _: boto3.client("sns"), lambda: boto3.client("sesv2"), "", lambda: LOOPBACK
    )
    with pytest.raises(Undelivered, match="MailSender"):
        silent.send(target, MESSAGE)

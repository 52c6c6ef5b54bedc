"""Messages to the targets of notification groups: posted and signed, published, or mailed.

Posts follow Standard Webhooks 1.0 (standardwebhooks.com).
"""

import binascii
import hmac
import json
from base64 import b64decode, b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from millrace.connectors.http_client import HttpClient
from millrace.connectors.http_messages import HttpRequest
from millrace.connectors.transport import Urllib3Transport
from millrace.domain.errors import StepError
from millrace.domain.notification_group import (
    EmailTarget,
    NotificationTarget,
    SnsTarget,
    UrlTarget,
)
from millrace.domain.ports import Message, Undelivered

if TYPE_CHECKING:
    from collections.abc import Callable

    from millrace.domain.networks import AllowedNetworks

POST_SECONDS: Final = 15.0
_PREFIX: Final = "whsec_"
_TITLE_LENGTH: Final = 100
"""What SNS takes as a subject."""


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{b64encode(hmac.digest(_key(secret), signed, 'sha256')).decode()}"


def _key(secret: str) -> bytes:
    """A secret as the standard writes it is base64 behind a prefix; any other is taken as it is."""
    if secret.startswith(_PREFIX):
        try:
            return b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


class Publisher(Protocol):
    """What is used of boto3's client for SNS."""

    def publish(self, **call: Any) -> Any:  # noqa: ANN401 - as boto3 types what it builds
        """See SNS."""
        ...


class Mailer(Protocol):
    """What is used of boto3's client for SES, version 2."""

    def send_email(self, **call: Any) -> Any:  # noqa: ANN401 - see above
        """See SES."""
        ...


class AwsMessenger:
    """The `Messenger` port over HTTP, SNS (a client for each region) and SES."""

    def __init__(
        self,
        sns: "Callable[[str], Publisher]",
        ses: "Callable[[], Mailer]",
        mail_sender: str,
        networks: "Callable[[], AllowedNetworks]",
    ) -> None:
        self._sns = sns
        self._ses = ses
        self._mail_sender = mail_sender
        self._networks = networks

    def send(self, target: NotificationTarget, message: Message) -> None:
        """Tell a target, with one try. Raises Undelivered."""
        try:
            match target:
                case UrlTarget():
                    self._post(target, message)
                case SnsTarget():
                    self._publish(target, message)
                case EmailTarget():
                    self._mail(target, message)
        except ClientError as error:
            raise Undelivered(f"AWS answered {error.response['Error']['Code']}") from error
        except BotoCoreError as error:
            raise Undelivered(f"no answer of AWS ({type(error).__name__})") from error

    def _post(self, target: UrlTarget, message: Message) -> None:
        body = json.dumps(message.body, separators=(",", ":")).encode()
        timestamp = str(int(message.at.timestamp()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "millrace",
            "webhook-id": message.id,
            "webhook-timestamp": timestamp,
        }
        if message.secret is not None:
            headers["webhook-signature"] = signature(message.secret, message.id, timestamp, body)
        request = HttpRequest("POST", target.url, headers, body, wants_body=False)
        reach = self._networks().of(message.workspace_id)
        http = HttpClient(Urllib3Transport(POST_SECONDS, reach=reach), tries=1)
        try:
            status = http.once(request).status
        except StepError as error:
            raise Undelivered(error.message) from error
        if not HTTPStatus(200) <= status < HTTPStatus(300):
            raise Undelivered(f"it answered {status}", gone=status == HTTPStatus.GONE)

    def _publish(self, target: SnsTarget, message: Message) -> None:
        region = target.topic_arn.split(":")[3]
        ordered = {}
        if target.topic_arn.endswith(".fifo"):
            ordered = {"MessageGroupId": "millrace", "MessageDeduplicationId": message.id}
        self._sns(region).publish(
            TopicArn=target.topic_arn,
            Subject=_title(message),
            Message=json.dumps(message.body, indent=2),
            **ordered,
        )

    def _mail(self, target: EmailTarget, message: Message) -> None:
        if not self._mail_sender:
            raise Undelivered("the stack's parameter MailSender is not set")
        self._ses().send_email(
            FromEmailAddress=self._mail_sender,
            Destination={"ToAddresses": [target.address]},
            Content={
                "Simple": {
                    "Subject": {"Data": _title(message)},
                    "Body": {"Text": {"Data": json.dumps(message.body, indent=2)}},
                }
            },
        )


def _title(message: Message) -> str:
    """One line of plain ASCII: the name of a flow may hold anything."""
    text = "".join(each if " " <= each <= "~" else "?" for each in message.title)
    return text[:_TITLE_LENGTH]

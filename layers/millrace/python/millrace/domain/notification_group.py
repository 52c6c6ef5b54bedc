"""Notification groups: who is told when runs end badly, or well again."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from millrace import limits
from millrace.domain.base import Description, Model, Name, StableKey, WriteOnly
from millrace.domain.resource import SecretHolder


class UrlTarget(Model):
    """An address that notifications are posted to."""

    type: Literal["url"]
    url: str = Field(pattern=r"^https?://[^\s/?#@\\]+([/?][^\s#\\]*)?$", max_length=2_048)


class EmailTarget(Model):
    """A mailbox."""

    type: Literal["email"]
    address: str = Field(pattern=r"^[^\s@<>,;]+@[^\s@<>,;]+$", max_length=254)


class SnsTarget(Model):
    """An SNS topic of the account."""

    type: Literal["sns"]
    topic_arn: str = Field(
        pattern=r"^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$"
    )


type NotificationTarget = Annotated[
    UrlTarget | EmailTarget | SnsTarget, Field(discriminator="type")
]

type Occasion = Literal["succeeded", "partiallySucceeded", "failed", "recovered"]


def _once_each(occasions: tuple[Occasion, ...]) -> tuple[Occasion, ...]:
    if len(set(occasions)) < len(occasions):
        msg = "each occasion at most once"
        raise ValueError(msg)
    return occasions


class NotificationGroupInput(Model):
    """What a caller sends to create or replace a notification group."""

    name: Name
    stable_key: StableKey | None = None
    description: Description | None = None
    targets: tuple[NotificationTarget, ...] = Field(
        min_length=1, max_length=limits.TARGETS_PER_GROUP
    )
    on: Annotated[tuple[Occasion, ...], AfterValidator(_once_each)] = Field(
        default=("failed",),
        min_length=1,
        description="What to tell of; recovered is the first success after a failure.",
    )
    signing_secret: Annotated[
        WriteOnly,
        Field(
            min_length=1,
            description="Write-only; signs what is posted to the targets of type url.",
        ),
    ] = None


class NotificationGroup(NotificationGroupInput, SecretHolder):
    """A stored notification group. Its secret is in the secret store, never here."""

    prefix: ClassVar[str] = "ntf"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")

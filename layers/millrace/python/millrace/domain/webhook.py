"""Webhooks: public addresses that start runs."""

from typing import ClassVar

from pydantic import Field

from millrace import limits
from millrace.domain.address import AddressInput, AnswerFormat, AnswerStatus
from millrace.domain.base import Name
from millrace.domain.resource import SecretHolder


class WebhookInput(AddressInput):
    """What a caller sends to create or replace a webhook."""

    name: Name = "webhook"
    status: AnswerStatus = 202
    body: str | None = Field(
        default=None,
        max_length=limits.ANSWER_BODY_LENGTH,
        description="What an accepted delivery is answered; absent: the run's id.",
    )
    format: AnswerFormat = Field(
        default="json", description="The content type of `body`, which is sent as it is."
    )


class Webhook(WebhookInput, SecretHolder):
    """A stored webhook of a flow. Its secrets are in the secret store, never here."""

    prefix: ClassVar[str] = "hook"
    is_public: ClassVar[bool] = True
    listed_in: ClassVar[str | None] = "webhook_ids"

    flow_id: str

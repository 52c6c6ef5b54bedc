"""Webhooks: public addresses that start runs."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from millrace.domain.base import Model, Name, StableKey, WriteOnly
from millrace.domain.resource import SecretHolder

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$", max_length=128)]


class WebhookInput(Model):
    """What a caller sends to create or replace a webhook."""

    name: Name = "webhook"
    stable_key: StableKey | None = None
    hmac_algorithm: Literal["sha256"] | None = None
    hmac_secret_key: WriteOnly = None
    hmac_header: HeaderName = "X-Hub-Signature-256"
    hmac_prefix: str = Field(default="sha256=", max_length=32)
    delivery_id_header: HeaderName | None = Field(
        default=None,
        description="Header that names a delivery; the same name gives the same run.",
    )


class Webhook(WebhookInput, SecretHolder):
    """A stored webhook of a flow. Its secret is in the secret store, never here."""

    prefix: ClassVar[str] = "hook"
    is_public: ClassVar[bool] = True
    listed_in: ClassVar[str | None] = "webhook_ids"

    flow_id: str

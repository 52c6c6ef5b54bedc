"""Callbacks: public addresses whose caller waits for the flow's result."""

from typing import ClassVar

from pydantic import Field

from millrace.domain.address import AddressInput, AnswerFormat, AnswerStatus
from millrace.domain.base import Name
from millrace.domain.resource import SecretHolder


class CallbackInput(AddressInput):
    """What a caller sends to create or replace a callback."""

    name: Name = "callback"
    status: AnswerStatus = 200
    format: AnswerFormat = Field(
        default="json", description="How the records that the flow hands on are answered."
    )


class Callback(CallbackInput, SecretHolder):
    """A stored callback of a flow. Its secrets are in the secret store, never here."""

    prefix: ClassVar[str] = "cb"
    is_public: ClassVar[bool] = True
    listed_in: ClassVar[str | None] = "callback_ids"

    flow_id: str

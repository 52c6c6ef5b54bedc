"""Callbacks: public addresses whose caller waits for the flow's result."""

from typing import ClassVar

from pydantic import Field

from millrace.domain.base import Model, Name, StableKey
from millrace.domain.resource import Resource
from millrace.domain.webhook import AnswerFormat, AnswerStatus


class CallbackInput(Model):
    """What a caller sends to create or replace a callback."""

    name: Name = "callback"
    stable_key: StableKey | None = None
    status: AnswerStatus = 200
    format: AnswerFormat = Field(default="json", description="The content type of the answer.")


class Callback(CallbackInput, Resource):
    """A stored callback of a flow."""

    prefix: ClassVar[str] = "cb"
    is_public: ClassVar[bool] = True
    listed_in: ClassVar[str | None] = "callback_ids"

    flow_id: str

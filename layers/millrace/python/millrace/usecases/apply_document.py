"""What a file holds that is applied, and what is told of it afterwards."""

from typing import Final, Self

from pydantic import Field, StrictBool, model_validator

from millrace.domain.action import ActionInput
from millrace.domain.base import Model
from millrace.domain.callback import CallbackInput
from millrace.domain.connection import ConnectionInput
from millrace.domain.findings import missing
from millrace.domain.flow import FlowInput
from millrace.domain.webhook import WebhookInput
from millrace.usecases.plan import ChangeKind

_RESOURCES_A_FILE: Final = 20


class AppliedFlow(FlowInput):
    """A flow of a file, with its webhooks and callbacks."""

    webhooks: tuple[WebhookInput, ...] = ()
    callbacks: tuple[CallbackInput, ...] = ()
    deploy: StrictBool = Field(default=True, description="Deploy the flow's latest version.")


class ApplyDocument(Model):
    """What a file holds. Every resource in it needs a stable key of its own."""

    connections: tuple[ConnectionInput, ...] = Field(default=(), max_length=_RESOURCES_A_FILE)
    actions: tuple[ActionInput, ...] = Field(default=(), max_length=_RESOURCES_A_FILE)
    flows: tuple[AppliedFlow, ...] = Field(default=(), max_length=_RESOURCES_A_FILE)

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not (self.connections or self.actions or self.flows):
            raise missing(
                "flows", "There is nothing to apply.", "Add connections, actions or flows."
            )
        return self


class AppliedResource(Model):
    """What became of one resource of the file."""

    id: str
    stable_key: str
    change: ChangeKind


class AppliedAddress(AppliedResource):
    """What became of a webhook or callback, and the path to send to."""

    path: str


class AppliedFlowResult(AppliedResource):
    """What became of a flow, and its version that counts now."""

    version_id: str
    version_number: int
    deployed: bool
    webhooks: tuple[AppliedAddress, ...] = ()
    callbacks: tuple[AppliedAddress, ...] = ()


class ApplyResult(Model):
    """What became of each resource, in the order of the file."""

    connections: tuple[AppliedResource, ...] = ()
    actions: tuple[AppliedResource, ...] = ()
    flows: tuple[AppliedFlowResult, ...] = ()

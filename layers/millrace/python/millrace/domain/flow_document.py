"""Flow documents: a flow and all it uses, as it travels between workspaces, without credentials.

What a flow uses stands under `dependencies`, each resource under a key of its own: its stable key,
or a made-up one such as `connection-1`. Wherever the flow would name an id, it names such a key.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from millrace import limits
from millrace.domain.action import ActionInput
from millrace.domain.base import Model, Moment, Name, StableKey
from millrace.domain.callback import CallbackInput
from millrace.domain.connection import ConnectionInput
from millrace.domain.data_pool import DataPoolInput
from millrace.domain.flow import FlowSettings
from millrace.domain.integration import IntegrationInput
from millrace.domain.label import LabelInput
from millrace.domain.notification_group import Occasion
from millrace.domain.step import Steps
from millrace.domain.webhook import WebhookInput

NOT_EXPORTED: Final = ("test_payload", "test_content_type", "test_headers", "logging")
"""Settings that stay where they are: a saved test request may hold credentials."""

Key = Annotated[str, StringConstraints(min_length=1, max_length=limits.NAME_LENGTH)]

type Keyed[M: Model] = Annotated[dict[Key, M], Field(max_length=limits.DOCUMENT_RESOURCES)]


class Metadata(Model):
    """What a document is, and where it comes from."""

    format: Literal["millrace.flow"] = "millrace.flow"
    format_version: Literal[1] = 1
    flow_name: Name | None = None
    version_number: int | None = None
    exported_at: Moment | None = None
    exported_by: str | None = None


class ExportedFlow(FlowSettings):
    """A flow with the steps of one version, and its public addresses."""

    steps: Steps = ()
    webhooks: tuple[WebhookInput, ...] = Field(default=(), max_length=limits.DOCUMENT_RESOURCES)
    callbacks: tuple[CallbackInput, ...] = Field(default=(), max_length=limits.DOCUMENT_RESOURCES)


class GroupReference(Model):
    """A notification group by its names; the addresses that it tells stay where they are."""

    name: Name
    stable_key: StableKey | None = None
    on: tuple[Occasion, ...] = ()


class FlowReference(Model):
    """Another flow, which a document does not hold."""

    name: Name
    stable_key: StableKey | None = None
    integration_key: StableKey | None = Field(
        default=None, description="The stable key of the integration that it is in."
    )


class UsedResources(Model):
    """What the flow uses, by the keys that it uses in the document."""

    integrations: Keyed[IntegrationInput] = Field(default_factory=dict)
    connections: Keyed[ConnectionInput] = Field(default_factory=dict)
    data_pools: Keyed[DataPoolInput] = Field(default_factory=dict)
    actions: Keyed[ActionInput] = Field(default_factory=dict)
    labels: Keyed[LabelInput] = Field(default_factory=dict)
    notification_groups: Keyed[GroupReference] = Field(default_factory=dict)
    flows: Keyed[FlowReference] = Field(default_factory=dict)


class FlowDocument(Model):
    """A flow and what it uses."""

    metadata: Metadata = Metadata()
    flow: ExportedFlow
    dependencies: UsedResources = UsedResources()

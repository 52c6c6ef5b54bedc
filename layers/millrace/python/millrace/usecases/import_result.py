"""What an import tells, and what it collects before anything is stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from pydantic import Field

from millrace.domain.action import Action
from millrace.domain.base import Model, Name
from millrace.domain.callback import Callback
from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.flow import Flow
from millrace.domain.integration import Integration
from millrace.domain.label import Label
from millrace.domain.notification_group import NotificationGroup
from millrace.domain.resource import Resource
from millrace.domain.template import Template
from millrace.domain.webhook import Webhook
from millrace.usecases.plan import ChangeKind, Plan

type Kind = Literal[
    "flow",
    "connection",
    "action",
    "dataPool",
    "integration",
    "label",
    "notificationGroup",
    "template",
    "webhook",
    "callback",
]
type ImportChange = ChangeKind | Literal["used"]

type Imported = (
    Action
    | Callback
    | Connection
    | DataPool
    | Flow
    | Integration
    | Label
    | NotificationGroup
    | Template
    | Webhook
)

_NO_SECRETS: Final[Mapping[str, str]] = MappingProxyType({})
_KINDS: Final[Mapping[type[Resource], Kind]] = {
    Action: "action",
    Callback: "callback",
    Connection: "connection",
    DataPool: "dataPool",
    Flow: "flow",
    Integration: "integration",
    Label: "label",
    NotificationGroup: "notificationGroup",
    Template: "template",
    Webhook: "webhook",
}


class ImportedResource(Model):
    """What became of one resource of a document."""

    type: Kind
    key: str | None = Field(
        default=None, description="Its key in the document, if it stands under `dependencies`."
    )
    id: str
    name: Name
    change: ImportChange = Field(description="`used`: it was there, and stays as it is.")


class Unfinished(Model):
    """A field that an import could not fill, and a user has to see to."""

    type: Kind
    id: str
    name: Name
    field: str
    message: str


class ImportResult(Model):
    """What became of a document, and what is left to do before the flow can run."""

    revision: int = Field(
        description="Of the flow, or the template, which `resources` names first."
    )
    resources: tuple[ImportedResource, ...]
    needs_configuring: tuple[Unfinished, ...] = ()


@dataclass(slots=True)
class ImportPlan(Plan):
    """What an import will store and tell."""

    told: list[ImportedResource] = field(default_factory=list)
    unfinished: list[Unfinished] = field(default_factory=list)

    def put(
        self,
        before: Imported | None,
        after: Imported,
        *,
        key: str | None = None,
        secrets: Mapping[str, str] = _NO_SECRETS,
        parent_id: str | None = None,
    ) -> None:
        """Store a resource, and tell of it; the same as before is told only."""
        self.tell(after, self.store(before, after, secrets, parent_id), key)

    def tell(self, resource: Imported, change: ImportChange, key: str | None = None) -> None:
        """Tell what becomes of a resource."""
        self.told.append(told_of(resource, change, key))

    def leave(self, resource: Imported, field_: str, message: str) -> None:
        """Tell what a user has to see to."""
        self.unfinished.append(
            Unfinished(
                type=_KINDS[type(resource)],
                id=resource.id,
                name=resource.name,
                field=field_,
                message=message,
            )
        )


def told_of(resource: Imported, change: ImportChange, key: str | None = None) -> ImportedResource:
    """What became of a resource."""
    return ImportedResource(
        type=_KINDS[type(resource)],
        key=key,
        id=resource.id,
        name=resource.name,
        change=change,
    )

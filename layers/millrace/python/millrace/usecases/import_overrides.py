"""What an imported flow is to have instead of what its document says."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import Field
from pydantic.alias_generators import to_camel

from millrace import limits
from millrace.domain.base import Name, StableKey
from millrace.domain.errors import Violation
from millrace.domain.flow_document import FlowDocument, Key, Metadata

_OF_THE_FLOW: Final = ("stable_key", "integration_id", "flow_group_id")
"""Of these null means none; a field that is absent overrides nothing."""


class ImportMetadata(Metadata):
    """Where a document is from, and what the flow is to have here instead of what it says."""

    name: Name | None = None
    stable_key: StableKey | None = Field(
        default=None, description="Which flow to change or make; null: a new one without a key."
    )
    integration_id: str | None = Field(
        default=None,
        description="An integration of the workspace; the document's is left alone, and so is "
        "its group. null: none.",
    )
    flow_group_id: str | None = None
    connection_map: dict[Key, str] = Field(
        default_factory=dict,
        max_length=limits.DOCUMENT_RESOURCES,
        description="For keys of the document's connections, the ids of those to use instead.",
    )

    @property
    def overridden(self) -> Mapping[str, Any]:
        """The fields of the flow that are to be other ones."""
        found: dict[str, Any] = {
            name: getattr(self, name) for name in _OF_THE_FLOW if name in self.model_fields_set
        }
        if self.name is not None:
            found["name"] = self.name
        if "integration_id" in found:
            found.setdefault("flow_group_id", None)
        return found


def overridden(document: FlowDocument, metadata: ImportMetadata) -> FlowDocument:
    """The document as the flow is wanted; its connections are mapped when they are looked for."""
    fields = metadata.overridden
    uses = document.dependencies
    if "integration_id" in fields:
        uses = uses.model_copy(update={"integrations": {}})
    flow = document.flow.model_copy(update=fields)
    return document.model_copy(update={"flow": flow, "dependencies": uses})


def place_of(pointer: str, metadata: ImportMetadata) -> str:
    """Where the caller said what a pointer into the flow names."""
    sent = {f"/{to_camel(name)}" for name in metadata.overridden}
    return f"{'/metadata' if pointer in sent else '/flow'}{pointer}"


def nothing_to_override(metadata: ImportMetadata) -> Iterator[Violation]:
    """Overrides are for a flow, and no flow is made."""
    sent = metadata.model_fields_set & {"name", "connection_map", *_OF_THE_FLOW}
    for name in sorted(map(to_camel, sent)):
        yield Violation(
            "noFlowToOverride",
            f"/metadata/{name}",
            f"asMarketplace makes no flow, so there is no {name} to be another.",
            "Leave it out; send it when a flow is made by templateId.",
        )

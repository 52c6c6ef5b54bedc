"""What may be sent to import a flow, and what becomes of it: a flow, or a template of flows."""

from typing import Self

from pydantic import Base64Bytes, Field, ValidationError, model_validator

from millrace.domain.base import Json, Model
from millrace.domain.errors import NotFoundError, RuleViolationError, Violation
from millrace.domain.findings import contradiction, need_one
from millrace.domain.flow_document import FlowDocument, Metadata, UsedResources
from millrace.domain.pointers import json_pointer
from millrace.domain.shape import violation_of
from millrace.domain.template import Template, TemplateInput
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.export_flow import without_credentials
from millrace.usecases.flow_zip import unpack_document
from millrace.usecases.import_flow import import_faults, import_flow
from millrace.usecases.import_overrides import ImportMetadata, nothing_to_override
from millrace.usecases.import_result import ImportPlan, ImportResult
from millrace.usecases.import_routers import ImportedFlow, placed, routed
from millrace.usecases.plain import TEMPLATES
from millrace.usecases.resources import fields_of, refuse


class ImportRequest(Model):
    """A flow to import: what an export answered, or where it is."""

    metadata: ImportMetadata = ImportMetadata()
    flow: ImportedFlow | None = None
    dependencies: UsedResources = UsedResources()
    template_id: str | None = Field(
        default=None, description="A stored template, the document of which is imported."
    )
    template: Base64Bytes | None = Field(
        default=None,
        description="The zip that the flow's template address gives, as base64.",
    )
    as_marketplace: bool = Field(
        default=False, description="Keep the document as a template, and make no flow of it yet."
    )

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        need_one(
            self,
            "flow",
            "template",
            "template_id",
            remedy="Send flow, with its dependencies, or template, or templateId.",
        )
        if self.flow is None and self.dependencies != UsedResources():
            raise contradiction("dependencies", "dependencies go with flow.", "Leave them out.")
        if self.template_id is not None and self.as_marketplace:
            raise contradiction(
                "asMarketplace", "What templateId names is a template already.", "Leave it out."
            )
        return self


def import_request(context: Context, caller: Caller, asked: ImportRequest) -> ImportResult:
    """Make a flow, or a template, of what was sent.

    Raises RuleViolationError with pointers into the request or the document, or TooLargeError.
    """
    template, document = _source(context, caller, asked)
    if asked.as_marketplace:
        refuse(nothing_to_override(asked.metadata))
        return _keep(context, caller, document)
    try:
        return import_flow(context, caller, document, asked.metadata, template)
    except RuleViolationError as error:
        found = placed(asked.flow, error.violations)
        raise RuleViolationError(error.message, found) from error


def check_import(context: Context, caller: Caller, asked: ImportRequest) -> list[Violation]:
    """All that is wrong with a request that is well formed; nothing is stored."""
    try:
        _, document = _source(context, caller, asked)
    except RuleViolationError as error:
        return [*error.violations]
    if asked.as_marketplace:
        return [*nothing_to_override(asked.metadata)]
    return placed(asked.flow, import_faults(context, caller, document, asked.metadata))


def _source(
    context: Context, caller: Caller, asked: ImportRequest
) -> tuple[Template | None, FlowDocument]:
    """The document, and the stored template that it is, if it is one."""
    if asked.flow is not None:
        metadata = Metadata(**fields_of(asked.metadata, Metadata))
        return None, FlowDocument(
            metadata=metadata, flow=routed(asked.flow), dependencies=asked.dependencies
        )
    if asked.template_id is not None:
        template = _template(context, caller, asked.template_id)
        return template, _read(template.document)
    return None, _read(unpack_document(asked.template or b"", "/template"))


def _read(given: dict[str, Json]) -> FlowDocument:
    """A document that was kept as JSON. Raises RuleViolationError with pointers into it."""
    try:
        return FlowDocument.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        refuse(violation_of(each, json_pointer(each["loc"], given)) for each in faults)
        raise


def _template(context: Context, caller: Caller, id_: str) -> Template:
    try:
        return context.resources.get(Template, caller.workspace_id, id_)
    except NotFoundError as error:
        refuse(
            [Violation("unknownTemplate", "/templateId", f"{error.message}.", "Correct the id.")]
        )
        raise


def _keep(context: Context, caller: Caller, document: FlowDocument) -> ImportResult:
    """Keep a document as a template; one of the flow's stable key is brought up to it."""
    flow = document.flow
    before = None
    if flow.stable_key is not None:
        before = context.resources.find(Template, caller.workspace_id, flow.stable_key)
    # A document that is the same but for the time of its export is the same template.
    metadata = document.metadata.model_copy(update={"exported_at": None, "exported_by": None})
    kept = without_credentials(document.model_copy(update={"metadata": metadata}))
    given = TemplateInput(
        name=flow.name,
        stable_key=flow.stable_key,
        description=flow.description,
        version=1 if before is None else before.version,
        document=kept.to_json(),
    )
    plan = ImportPlan()
    if before is None:
        after, _ = TEMPLATES.new(context, caller, given)
    else:
        after, _ = TEMPLATES.changed(context, caller, before, given)
        if after is not before:
            after = after.model_copy(update={"version": before.version + 1})
    plan.put(before, after)
    context.resources.commit(*plan.changes)
    return ImportResult(revision=after.revision, resources=tuple(plan.told))

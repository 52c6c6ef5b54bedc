"""What may be sent to import a flow, and what becomes of it: a flow, or a template of flows."""

from typing import Self

from pydantic import Base64Bytes, Field, ValidationError, model_validator

from millrace.domain.base import Model
from millrace.domain.errors import NotFoundError, Violation
from millrace.domain.flow_document import ExportedFlow, FlowDocument, Metadata, UsedResources
from millrace.domain.ports import Change, Create, Replace
from millrace.domain.template import Template, TemplateInput
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.export_flow import without_credentials
from millrace.usecases.flow_zip import BadArchiveError, unpack_document
from millrace.usecases.import_flow import (
    ImportChange,
    ImportedResource,
    ImportResult,
    import_flow,
)
from millrace.usecases.plain import TEMPLATES
from millrace.usecases.resources import refuse


class ImportRequest(Model):
    """A flow to import: what an export answered, or where it is."""

    metadata: Metadata = Metadata()
    flow: ExportedFlow | None = None
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
        sources = (self.flow, self.template, self.template_id)
        if sum(source is not None for source in sources) != 1:
            msg = "send flow, with its dependencies, or template, or templateId"
            raise ValueError(msg)
        if self.flow is None and self.dependencies != UsedResources():
            msg = "dependencies go with flow"
            raise ValueError(msg)
        if self.template_id is not None and self.as_marketplace:
            msg = "what templateId names is a template already; leave out asMarketplace"
            raise ValueError(msg)
        return self


def import_request(context: Context, caller: Caller, asked: ImportRequest) -> ImportResult:
    """Make a flow, or a template, of what was sent.

    Raises RuleViolationError with pointers into the request, or TooLargeError.
    """
    if asked.template_id is not None:
        template, document = _template(context, caller, asked.template_id)
        return import_flow(context, caller, document, template)
    document = _document(asked)
    if asked.as_marketplace:
        return _keep(context, caller, document)
    return import_flow(context, caller, document)


def _document(asked: ImportRequest) -> FlowDocument:
    if asked.flow is not None:
        return FlowDocument(
            metadata=asked.metadata, flow=asked.flow, dependencies=asked.dependencies
        )
    try:
        return unpack_document(asked.template or b"", "/template")
    except BadArchiveError as error:
        refuse(error.faults)
        raise


def _keep(context: Context, caller: Caller, document: FlowDocument) -> ImportResult:
    """Keep a document as a template; one of the flow's stable key is brought up to it."""
    flow = document.flow
    key = flow.stable_key
    before = None
    if key is not None:
        before = context.resources.find(Template, caller.workspace_id, key)
    # A document that is the same but for the time of its export is the same template.
    metadata = document.metadata.model_copy(update={"exported_at": None, "exported_by": None})
    kept = without_credentials(document.model_copy(update={"metadata": metadata}))
    given = TemplateInput(
        name=flow.name,
        stable_key=key,
        description=flow.description,
        version=1 if before is None else before.version,
        document=kept.to_json(),
    )
    change: Change
    if before is None:
        after, _ = TEMPLATES.new(context, caller, given)
        change = Create(after)
    else:
        after, _ = TEMPLATES.changed(context, caller, before, given)
        if after is before:
            return _told(before, "unchanged")
        after = after.model_copy(update={"version": before.version + 1})
        change = Replace(before, after)
    context.resources.commit(change)
    return _told(after, "created" if before is None else "updated")


def _told(template: Template, change: ImportChange) -> ImportResult:
    told = ImportedResource(type="template", id=template.id, name=template.name, change=change)
    return ImportResult(resources=(told,))


def _template(context: Context, caller: Caller, id_: str) -> tuple[Template, FlowDocument]:
    try:
        template = context.resources.get(Template, caller.workspace_id, id_)
        return template, FlowDocument.model_validate(template.document)
    except NotFoundError as error:
        refuse(
            [Violation("unknownTemplate", "/templateId", f"{error.message}.", "Correct the id.")]
        )
        raise
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = "/".join(str(part) for part in first["loc"])
        message = f"The template's document is no exported flow: {place}: {first['msg']}"
        remedy = "Name a template that asMarketplace made, or correct its document."
        refuse([Violation("badTemplate", "/templateId", message, remedy)])
        raise

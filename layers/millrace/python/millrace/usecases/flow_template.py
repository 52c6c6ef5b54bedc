"""The template of a flow: a zip of its document, which an address gives for a while."""

import hashlib
from datetime import timedelta

from pydantic import Field

from millrace import limits
from millrace.domain.base import Model, Moment
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.export_flow import ExportRequest, export_flow
from millrace.usecases.flow_zip import pack_document


class TemplateAddress(Model):
    """Where the zip is."""

    signed_url: str = Field(alias="signedURL")
    expires_at: Moment


def template_of(context: Context, caller: Caller, flow_id: str) -> TemplateAddress:
    """Store the flow's latest version and all it uses as a zip; whoever has the address gets it.

    The same flow gives the same zip, which is kept once, until a day after it was last asked for.
    Raises ConflictError and TooLargeError as an export does.
    """
    document = export_flow(context, caller, ExportRequest(flow_id=flow_id))
    metadata = document.metadata.model_copy(update={"exported_at": None, "exported_by": None})
    data = pack_document(document.model_copy(update={"metadata": metadata}))
    digest = hashlib.sha256(data).hexdigest()
    # The bucket's lifecycle rule knows them by how their keys begin.
    key = f"templates/{caller.workspace_id}/{flow_id}/{digest}.zip"
    context.blobs.put(key, data)
    expires = timedelta(seconds=limits.TEMPLATE_URL_SECONDS)
    return TemplateAddress(
        signed_url=context.blobs.url(key, limits.TEMPLATE_URL_SECONDS, f"{flow_id}.zip"),
        expires_at=context.clock() + expires,
    )

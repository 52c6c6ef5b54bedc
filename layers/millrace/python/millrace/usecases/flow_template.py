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


def zip_of(context: Context, caller: Caller, flow_id: str) -> bytes:
    """A flow's latest version and all it uses as a zip: the same flow gives the same bytes."""
    document = export_flow(context, caller, ExportRequest(flow_id=flow_id))
    metadata = document.metadata.model_copy(update={"exported_at": None, "exported_by": None})
    return pack_document(document.model_copy(update={"metadata": metadata}))


def template_of(context: Context, caller: Caller, flow_id: str) -> TemplateAddress:
    """Store the flow's latest version and all it uses as a zip; whoever has the address gets it.

    The same flow gives the same zip, which is kept once, until a day after it was last asked for.
    Raises ConflictError and TooLargeError as an export does.
    """
    data = zip_of(context, caller, flow_id)
    return address_of(context, caller, flow_id, data)


def address_of(context: Context, caller: Caller, id_: str, data: bytes) -> TemplateAddress:
    """Store a zip of what has this id, and give its address."""
    digest = hashlib.sha256(data).hexdigest()
    # The bucket's lifecycle rule knows them by how their keys begin.
    key = f"templates/{caller.workspace_id}/{id_}/{digest}.zip"
    context.blobs.put(key, data)
    expires = timedelta(seconds=limits.TEMPLATE_URL_SECONDS)
    return TemplateAddress(
        signed_url=context.blobs.url(key, limits.TEMPLATE_URL_SECONDS, f"{id_}.zip"),
        expires_at=context.clock() + expires,
    )

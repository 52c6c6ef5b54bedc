"""The template of an integration: a zip of the templates of its flows."""

from collections.abc import Iterator
from typing import Final

from millrace import limits
from millrace.domain.errors import ConflictError, TooLargeError
from millrace.domain.flow import Flow
from millrace.domain.integration import Integration, IntegrationInput
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.flow_lists import list_flows
from millrace.usecases.flow_template import TemplateAddress, address_of, zip_of
from millrace.usecases.flow_zip import packed
from millrace.usecases.lists import Asked
from millrace.usecases.resources import fields_of

_INTEGRATION: Final = "integration.json"


def template_of_integration(
    context: Context, caller: Caller, integration_id: str
) -> TemplateAddress:
    """Store an integration and the template of each of its flows as a zip.

    Each file under `flows/` is what an import of a flow takes. Raises ConflictError if a step names
    what was deleted, and TooLargeError for too many flows or a flow that is too large.
    """
    integration = context.resources.get(Integration, caller.workspace_id, integration_id)
    given = IntegrationInput(**fields_of(integration, IntegrationInput))
    files = {_INTEGRATION: given.model_dump_json(exclude_none=True).encode()}
    for flow in _flows(context, caller, integration_id):
        if len(files) > limits.TEMPLATE_FLOWS:
            raise TooLargeError(
                f"the integration has more than {limits.TEMPLATE_FLOWS} flows; "
                "ask for the templates of the flows"
            )
        try:
            # Named by what stays the same; no two flows of an integration share a stable key.
            files[f"flows/{flow.stable_key or flow.id}.zip"] = zip_of(context, caller, flow.id)
        except ConflictError as error:
            raise ConflictError(f"flow {flow.id!r}: {error.message}", error.violations) from error
        if sum(map(len, files.values())) > limits.INTEGRATION_TEMPLATE_BYTES:
            raise TooLargeError(
                f"the templates of its flows take more than {limits.INTEGRATION_TEMPLATE_BYTES:,} "
                "bytes; ask for them one by one"
            )
    return address_of(context, caller, integration_id, packed(files))


def _flows(context: Context, caller: Caller, integration_id: str) -> Iterator[Flow]:
    cursor: str | None = None
    while True:
        asked = Asked(Flow, caller.workspace_id, limit=limits.PAGE_ITEMS_MAX, cursor=cursor)
        part = list_flows(context, asked, {"integrationId": [integration_id]})
        yield from part.items
        cursor = part.cursor
        if cursor is None:
            return

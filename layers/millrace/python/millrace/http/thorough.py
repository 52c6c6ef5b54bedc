"""Everything that is wrong with a request in one answer, also when its shape is wrong already.

A body of the wrong shape never reaches the use case whose rules it may break as well. So it is
looked at once more: without the fields that nobody knows, if that makes a whole of it, else for
its graphs alone, which can be read whatever else is wrong.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from millrace import compiler
from millrace.domain.base import Json
from millrace.domain.errors import Violation
from millrace.domain.token import Caller
from millrace.http.sent_back import FlowChange
from millrace.usecases.apply import check_document
from millrace.usecases.apply_document import ApplyDocument
from millrace.usecases.context import Context
from millrace.usecases.flow_changes import check_flow
from millrace.usecases.import_request import ImportRequest, check_import


def broken_rules(
    context: Context, caller: Caller, path: str, body: Json, reported: Iterable[Violation]
) -> list[Violation]:
    """The rules that a body of the wrong shape breaks, at places that are not reported yet."""
    reported = tuple(reported)
    found = _rules(context, caller, path, _without_unknown_fields(body, reported))
    places = {violation.pointer for violation in reported}
    return [violation for violation in found if violation.pointer not in places]


def _rules(context: Context, caller: Caller, path: str, body: Json) -> Iterator[Violation]:
    try:
        if path == "/v1/apply":
            yield from check_document(context, caller, ApplyDocument.model_validate(body))
        elif path == "/v1/flows/import":
            yield from check_import(context, caller, ImportRequest.model_validate(body))
        elif path.startswith("/v1/flows"):
            yield from check_flow(context, caller.workspace_id, FlowChange.model_validate(body))
    except ValidationError:
        yield from _graphs(body)


def _graphs(body: Json) -> Iterator[Violation]:
    if not isinstance(body, dict):
        return
    documents: list[tuple[str, Json]] = [("", body)]
    if isinstance(body.get("flows"), list):
        documents += [(f"/flows/{place}", flow) for place, flow in enumerate(body["flows"])]
    documents.append(("/flow", body.get("flow")))
    for pointer, flow in documents:
        if isinstance(flow, dict) and flow.get("steps"):
            definition, findings = compiler.read_definition(flow)
            for finding in findings if definition is None else compiler.check(definition):
                where = f"{pointer}{finding.pointer}"
                yield Violation(finding.code, where, finding.message, finding.remedy)


def _without_unknown_fields(body: Json, reported: Iterable[Violation]) -> Json:
    body = deepcopy(body)
    for violation in reported:
        if violation.code == "unknownField":
            _remove(body, violation.pointer)
    return body


def _remove(body: Any, pointer: str) -> None:  # noqa: ANN401 - walks any JSON
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in path:
        body = body[int(part)] if isinstance(body, list) else body[part]
    body.pop(last, None)

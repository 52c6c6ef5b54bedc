"""What the OpenAPI document says of many operations at once, and what no route takes itself."""

import re
from collections.abc import Iterator
from typing import Any, Final

from millrace import limits
from millrace.http.body import JSON, JSON_PATCH
from millrace.http.examples import EXAMPLES
from millrace.http.idempotency import HEADER, takes_key

TAGS: Final = {
    "apply": "A whole file of connections, actions and flows at once.",
    "flows": "Flows: their settings, the steps of their latest version, and their audit trail.",
    "versions": "Snapshots of a flow's steps: at most one draft, at most one deployed.",
    "webhooks": "Public addresses that start a flow.",
    "callbacks": "Public addresses whose caller waits for the result of the flow.",
    "runs": "Starting flows, and what became of it.",
    "tests": "Trying flows without deploying them, and what became of it.",
    "errors": "Records that failed: look at them, mend them, try them again.",
    "integrations": "Containers of flows.",
    "connections": "Other systems: where they are, and how to be let in.",
    "actions": "What steps do, kept apart from them so that several may share it.",
    "variables": "Values that expressions read; those of secret variables are write-only.",
    "virtualEnvironments": "Connections and variables that a run takes instead of the usual ones.",
    "labels": "Labels of flows.",
    "notificationGroups": "Who is told of what happens to a flow.",
    "templates": "Documents that flows are made from.",
    "dataPools": "Keys seen before.",
    "limits": "What Millrace bounds, and how far.",
    "tokens": "Who may call this API.",
}

_IDEMPOTENCY_KEY: Final = {
    "name": HEADER,
    "in": "header",
    "description": "The same key with the same request gives the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": limits.IDEMPOTENCY_KEY_LENGTH},
}
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag of the revision to change.",
    "schema": {"type": "string", "pattern": r'^(W/)?"[0-9]{1,12}"$'},
    "example": '"1"',
}
_ETAG: Final = {
    "required": True,
    "description": "The revision that was answered; a change of it takes this as If-Match.",
    "schema": {"type": "string", "pattern": '^"[0-9]+"$'},
}
_LOCATION: Final = {
    "required": True,
    "description": "Where to ask what became of it.",
    "schema": {"type": "string"},
}
_NOT_LET_IN: Final = {
    JSON: {"schema": {"type": "object", "properties": {"message": {"type": "string"}}}}
}
"""API Gateway's own answer to a token that is not accepted."""

_SHARED_NAMES: Final = {"create", "delete", "get", "list_all", "patch", "ping", "replace"}


def describe(document: dict[str, Any]) -> None:
    """Complete a document that Powertools made of the routes."""
    components = document["components"]
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = _operation_id(operation["operationId"], path)
            _describe_request(method, path, operation)
            _describe_answers(operation, components["schemas"])
    _remove_unused(document)


def _describe_request(method: str, path: str, operation: dict[str, Any]) -> None:
    parameters = [each for each in operation.get("parameters", []) if each["name"] != "if-match"]
    if "428" in operation["responses"]:
        parameters.append(_IF_MATCH)
    if takes_key(method, path):
        parameters.append(_IDEMPOTENCY_KEY)
    if parameters:
        operation["parameters"] = parameters
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]
        examples = EXAMPLES.get((method.upper(), path))
        if examples is not None:
            content[JSON]["examples"] = {name: {"value": value} for name, value in examples.items()}
        if method == "patch":
            content[JSON_PATCH] = content[JSON]


def _describe_answers(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    answers = operation["responses"]
    ((role,),) = operation["security"][0].values()
    refused = answers["403"]
    refused["description"] = f"Needs the role {role}, or the token is not accepted"
    refused["content"] |= _NOT_LET_IN
    for status, answer in answers.items():
        reference = answer.get("content", {}).get(JSON, {}).get("schema", {}).get("$ref", "")
        shown = schemas.get(reference.rpartition("/")[2], {})
        headers = {name: _LOCATION | told for name, told in answer.get("headers", {}).items()}
        if "revision" in shown.get("properties", {}):
            headers["ETag"] = _ETAG
        if status == "202":
            headers["Location"] = _LOCATION
        if headers:
            answer["headers"] = headers
    operation["responses"] = dict(sorted(answers.items()))


def _operation_id(made: str, path: str) -> str:
    """The route's own name, `replaceFlow`; those that all collections share name theirs too."""
    name = made.partition("_v1_")[0]
    if name in _SHARED_NAMES:
        collection = path.split("/")[2]
        many = name == "list_all"
        name = f"{name.removesuffix('_all')}_{collection if many else collection.removesuffix('s')}"
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _remove_unused(document: dict[str, Any]) -> None:
    """Powertools adds the shapes of errors that we do not answer with."""
    schemas = document["components"]["schemas"]
    while unused := schemas.keys() - set(_referred(document)):
        for name in unused:
            del schemas[name]


def _referred(value: Any) -> Iterator[str]:  # noqa: ANN401 - walks any JSON
    match value:
        case {"$ref": str(reference)}:
            yield reference.rpartition("/")[2]
        case dict():
            for part in value.values():
                yield from _referred(part)
        case list():
            for part in value:
                yield from _referred(part)

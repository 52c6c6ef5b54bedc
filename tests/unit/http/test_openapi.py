"""The OpenAPI document: valid, complete, and with names that generated clients can live with."""

import json
import re
from collections.abc import Iterator
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from millrace.http.description import TAGS
from millrace.http.examples import EXAMPLES
from millrace.http.openapi import document


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation of each route."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_the_document_is_valid() -> None:
    """By the rules of OpenAPI 3.1, as a validator of others knows them."""
    assert document()["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_operation_ids_are_unique_names() -> None:
    """Clients are generated from them."""
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][A-Za-z]+", id_) for id_ in ids)
    assert {"listFlows", "createFlow", "patchFlow", "runFlow", "createLabel"} <= set(ids)


def test_tags_are_described() -> None:
    """Each tag that a route has, and no others."""
    assert {tag for _, _, operation in operations() for tag in operation["tags"]} == TAGS.keys()


def test_every_route_asks_for_a_token() -> None:
    """The document says how, and what becomes of a request without."""
    assert document()["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for method, path, operation in operations():
        assert [each.keys() for each in operation["security"]] == [{"bearer"}], (method, path)
        assert {"401", "403"} <= operation["responses"].keys(), (method, path)


def test_every_route_may_answer_that_it_is_busy() -> None:
    """All read the table, which may leave some of what it is asked for to another try."""
    for method, path, operation in operations():
        assert "503" in operation["responses"], (method, path)


def test_changes_ask_for_the_revision_that_reads_tell() -> None:
    """If-Match is required wherever 428 is answered; what has a revision has an ETag."""
    for method, path, operation in operations():
        required = {
            parameter["name"]
            for parameter in operation.get("parameters", [])
            if parameter["in"] == "header" and parameter.get("required")
        }
        assert ("If-Match" in required) == ("428" in operation["responses"]), (method, path)
    flow = document()["paths"]["/v1/flows/{flow_id}"]
    assert "ETag" in flow["get"]["responses"]["200"]["headers"]
    run = document()["paths"]["/v1/flows/{flow_id}/run"]["post"]
    assert "Location" in run["responses"]["202"]["headers"]


def test_a_patch_may_be_sent_as_either_type() -> None:
    """JSON Patch has a media type of its own."""
    content = document()["paths"]["/v1/flows/{flow_id}"]["patch"]["requestBody"]["content"]
    assert content.keys() == {"application/json", "application/json-patch+json"}


def test_every_example_is_shown() -> None:
    """Beside the body of its route."""
    for (method, path), examples in EXAMPLES.items():
        body = document()["paths"][path][method.lower()]["requestBody"]
        assert body["content"]["application/json"]["examples"].keys() == examples.keys()


NO_SECRETS = {
    "autoResolveMatchingTraceKeys",
    "credentialsIn",
    "integrationKey",
    "keyExpression",
    "keyPath",
    "recordKeyPath",
    "stableKey",
    "tokenHeader",
    "tokenPath",
    "tokenUrl",
    "traceKey",
}
"""Called like secrets, but names, places and addresses."""
NAMES_OR_SWITCHES = {
    *((each, name) for each in ("VariableInput", "VariableChange") for name in ("key", "secret")),
    *((operation, "key") for operation in ("DedupeOperation", "EnrichOperation")),
    *((each, "key") for each in ("RememberOperation", "DynamoDbImport", "S3Import", "S3Export")),
}
"""Of these only a connection's `key` and `secret` are secrets."""


def taken_fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each field that a request may set: the model, its name and its schema."""
    schemas = document()["components"]["schemas"]
    bodies = [each.get("requestBody", {}) for _, _, each in operations()]
    known: set[str] = set()
    wanted = references(bodies)
    while wanted:
        known |= wanted
        wanted = references([schemas[name] for name in wanted]) - known
    for model in sorted(known):
        for name, schema in schemas[model].get("properties", {}).items():
            if not schema.get("readOnly"):
                yield model, name, schema


def references(part: object) -> set[str]:
    """The models that a part of the document refers to."""
    return set(re.findall(r"#/components/schemas/([\w.-]+)", json.dumps(part)))


def test_what_is_called_like_a_secret_is_write_only() -> None:
    """A model holds it as a SecretStr, which no log, error or answer shows."""
    called = re.compile("secret|password|token|key|credential", re.IGNORECASE)
    write_only = set()
    for model, name, schema in taken_fields():
        if not called.search(name) or name in NO_SECRETS or (model, name) in NAMES_OR_SWITCHES:
            continue
        hidden = json.dumps(schema)
        assert '"writeOnly": true' in hidden, (model, name)
        assert '"format": "password"' in hidden, (model, name)
        write_only.add(name)
    assert write_only == {
        *("apiKeys", "organizationApiKeys", "hmacSecretKey", "hmacSecretKeyNext"),
        *("clientSecret", "key", "password", "secret", "signingSecret", "token"),
    }

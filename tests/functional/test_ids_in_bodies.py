"""Ids of another workspace within bodies are as unknown as those that nobody has (fault S9)."""

import json
from typing import Any

from tests.functional.conftest import Stack
from tests.functional.test_api_errors import ids_of, table
from tests.functional.test_tenancy import gone_from
from tests.support.app import Answer, Client

type Json = Any

IT = "the id"
"""Stands for it in a body."""
EXPORT = {"type": "Export", "connectionId": IT, "http": {"path": "/"}}
REMEMBER = {"type": "remember", "dataPoolId": IT, "key": "id", "value": "$"}


def flow(**fields: Json) -> Json:
    """A flow."""
    return {"name": "Mine", **fields}


def step(**fields: Json) -> Json:
    """A flow of one step."""
    return flow(steps=[{"id": "one", **fields}])


def process(operation: Json) -> Json:
    """What records go through."""
    return {"type": "Process", "operations": [operation]}


def alias(field: str) -> Json:
    """A flow with another word for something."""
    return flow(aliases=[{"alias": "it", field: IT}])


SPOKEN_OF: list[tuple[str, str, str, Json]] = [
    ("action_id", "POST", "/v1/flows", step(type="Process", actionId=IT)),
    ("flow_id", "POST", "/v1/flows", step(type="Flow", flowId=IT)),
    ("connection_id", "POST", "/v1/flows", step(type="Export", action=EXPORT)),
    ("data_pool_id", "POST", "/v1/flows", step(type="Process", action=process(REMEMBER))),
    ("integration_id", "POST", "/v1/flows", flow(integrationId=IT)),
    ("label_id", "POST", "/v1/flows", flow(labels=[IT])),
    ("flow_id", "POST", "/v1/flows", flow(runNextFlowIds=[IT])),
    ("notification_group_id", "POST", "/v1/flows", flow(notificationGroups=[IT])),
    ("action_id", "POST", "/v1/flows", alias("actionId")),
    ("connection_id", "POST", "/v1/flows", alias("connectionId")),
    ("flow_id", "POST", "/v1/flows", alias("flowId")),
    ("label_id", "PUT", "/v1/flows/{flow_id}", flow(labels=[IT])),
    ("label_id", "PATCH", "/v1/flows/{flow_id}", [{"op": "add", "path": "/labels", "value": [IT]}]),
    ("connection_id", "POST", "/v1/actions", {"name": "Mine", "work": EXPORT}),
    ("data_pool_id", "POST", "/v1/actions", {"name": "Mine", "work": process(REMEMBER)}),
    *(
        (
            "virtual_environment_id",
            "POST",
            f"/v1/flows/{{flow_id}}/{kind}",
            {"virtualEnvironmentId": IT},
        )
        for kind in ("webhooks", "callbacks")
    ),
    *(
        (kind, "POST", "/v1/virtualEnvironments", flow(replacements={name: {IT: IT}}))
        for kind, name in (("connection_id", "connections"), ("data_pool_id", "dataPools"))
    ),
    *(
        (
            "virtual_environment_id",
            "POST",
            f"/v1/flows/{{flow_id}}/{verb}",
            {"virtualEnvironmentId": IT},
        )
        for verb in ("run", "test")
    ),
    ("version_id", "POST", "/v1/flows/{flow_id}/run", {"versionId": IT}),
    ("version_id", "POST", "/v1/flows/{flow_id}/duplicate", {"versionId": IT}),
    ("version_id", "POST", "/v1/flows/{flow_id}/versions", {"versionId": IT}),
    ("integration_id", "POST", "/v1/flows/{flow_id}/clone", {"integrationId": IT}),
    ("connection_id", "POST", "/v1/flows/{flow_id}/clone", {"connectionMap": {IT: IT}}),
    (
        "connection_id",
        "PUT",
        "/v1/flows/{flow_id}/replaceConnection",
        {"connectionId": IT, "newConnectionId": IT},
    ),
    ("error_id", "PUT", "/v1/flows/{flow_id}/errors/resolve", {"errorIds": [IT]}),
    ("error_id", "POST", "/v1/flows/{flow_id}/errors/retry", {"errorIds": [IT]}),
    ("flow_id", "POST", "/v1/flows/export", {"flowId": IT}),
    ("template_id", "POST", "/v1/flows/import", {"templateId": IT}),
]


def told_of(client: Client, method: str, path: str, body: Json, id_: str) -> tuple[Answer, str]:
    """The answer to a body with an id, and its text without the id."""
    given = json.loads(json.dumps(body).replace(IT, id_))
    etag = client("GET", path.rpartition("/replace")[0] or path).headers.get("etag", '"1"')
    found = client(method, path, given, headers={"If-Match": etag})
    return found, json.dumps(found.body).replace(id_, IT)


def test_s9_ids_of_others_within_bodies_are_unknown(
    stack: Stack, alice: Client, mallory: Client
) -> None:
    """Each place for an id is refused in the words for one that nobody has; nothing is stored."""
    mine, theirs = ids_of(stack, mallory), ids_of(stack, alice)
    before = table()
    for name, method, route, body in SPOKEN_OF:
        path = route.format(**mine)
        answer, told = told_of(mallory, method, path, body, theirs[name])
        missing, known = told_of(mallory, method, path, body, gone_from(theirs[name]))
        assert (answer.status, told) == (missing.status, known), (route, body)
        codes = {code for code, _ in answer.errors} if "errors" in answer.body else set()
        assert (
            answer.body.get("code") == "notFound"
            or any(code.startswith("unknown") for code in codes)
            # Of errors, those that are there are dealt with, and the others are told.
            or answer.body["unknown"] == [theirs[name]]
        ), (route, body, answer.body)
    assert table() == before

"""Clones, duplicates, another connection and cancelled runs, over the real handlers."""

from tests.functional.test_lists import counted
from tests.support.app import Client

from millrace.domain.base import Json


def made(client: Client, path: str, body: Json) -> dict[str, Json]:
    """What a POST created."""
    told = client("POST", path, body)
    assert told.status in {201, 202}, told.body
    answer: dict[str, Json] = told.body
    return answer


def connection(client: Client, name: str) -> str:
    """The id of a new connection."""
    id_: str = made(
        client, "/v1/connections", {"name": name, "baseUrl": f"https://{name}.example"}
    )["id"]
    return id_


def reading_flow(client: Client, connection_id: str) -> dict[str, Json]:
    """A new flow that reads by an action of its own."""
    work = {"type": "Export", "connectionId": connection_id, "http": {"path": "/orders"}}
    action = made(client, "/v1/actions", {"name": "Read", "work": work})
    steps = [{"id": "read", "type": "Export", "referrer": action["id"]}]
    return made(client, "/v1/flows", {"name": "Orders", "steps": steps})


def test_the_reads_of_a_flow_do_not_grow_with_what_its_steps_name(alice: Client) -> None:
    """However many actions, connections and pools there are, they are read together."""
    calls_of: dict[int, list[dict[str, int]]] = {}
    alice("GET", "/v1/flows")  # makes the authorizer's own client, which is not counted
    for count in (2, 9):
        pool = made(alice, "/v1/dataPools", {"name": "Seen"})["id"]
        once = {"type": "dedupe", "key": "id", "dataPoolId": pool}
        steps = []
        for number in range(count):
            id_ = connection(alice, f"shop{count}-{number}")
            work = {"type": "Export", "connectionId": id_, "http": {"path": "/orders"}}
            action = made(alice, "/v1/actions", {"name": "Read", "work": work})
            steps += [
                {"id": f"read{number}", "type": "Export", "referrer": action["id"]},
                {"id": f"inline{number}", "type": "Export", "action": work},
                {
                    "id": f"once{number}",
                    "type": "Process",
                    "dependsOn": [f"read{number}"],
                    "action": {"type": "Process", "operations": [once]},
                },
            ]
        calls_of[count] = []
        with counted(alice) as (client, calls):
            flow = client("POST", "/v1/flows", {"name": "Orders", "steps": steps})
        calls_of[count].append(dict(calls))
        path = f"/v1/flows/{flow.body['id']}"
        with counted(alice) as (client, calls):
            patch = [{"op": "replace", "path": "/name", "value": "Sales"}]
            changed = client("PATCH", path, patch, headers=flow.etag)
        calls_of[count].append(dict(calls))
        version = f"{path}/versions/{changed.body['latestVersionId']}"
        etag = alice("GET", version).etag
        with counted(alice) as (client, calls):
            deployed = client("PUT", version, {"deployedAt": "2026-01-31T09:00:00Z"}, headers=etag)
        assert deployed.status == 200, deployed.body
        calls_of[count].append(dict(calls))
    assert calls_of[2] == calls_of[9]


def test_a_flow_is_cloned_over_another_connection(alice: Client) -> None:
    """400 names what the map leaves out; the clone is a flow like any other, but disabled."""
    shop, other = connection(alice, "shop"), connection(alice, "other")
    flow = reading_flow(alice, shop)
    path = f"/v1/flows/{flow['id']}/clone"
    refused = alice("POST", path, {})
    assert refused.status == 400
    assert refused.errors == {("connectionNotMapped", f"/connectionMap/{shop}")}
    body = {"name": "Orders of Paris", "connectionMap": {shop: other}}
    key = {"Idempotency-Key": "clone-1"}
    first, again = (alice("POST", path, body, headers=key) for _ in range(2))
    assert (first.status, first.body) == (again.status, again.body) == (201, first.body)
    clone = alice("GET", f"/v1/flows/{first.body['created'][0]['id']}").body
    assert (clone["name"], clone["enabled"], clone["sourceId"]) == (
        "Orders of Paris",
        False,
        flow["id"],
    )
    action = alice("GET", f"/v1/actions/{clone['steps'][0]['referrer']}").body
    assert action["work"]["connectionId"] == other
    assert len(alice("GET", "/v1/flows").body["data"]) == 2


def test_a_flow_is_duplicated_without_a_body(alice: Client) -> None:
    """The latest version is what most want."""
    flow = reading_flow(alice, connection(alice, "shop"))
    copied = made(alice, f"/v1/flows/{flow['id']}/duplicate", None)
    copy = alice("GET", f"/v1/flows/{copied['created'][0]['id']}").body
    assert copy["name"] == "Orders (copy)"
    assert copy["steps"][0]["referrer"] == flow["steps"][0]["referrer"]


def test_a_connection_is_replaced_where_it_runs(alice: Client) -> None:
    """The deployed flow goes on over the new connection; its run is cancelled; cancel is free."""
    shop, other = connection(alice, "shop"), connection(alice, "other")
    flow = reading_flow(alice, shop)
    place = f"/v1/flows/{flow['id']}"
    version = alice("GET", f"{place}/versions/{flow['latestVersionId']}")
    deployed = alice(
        "PUT",
        f"{place}/versions/{flow['latestVersionId']}",
        {"deployedAt": "2026-01-31T09:00:00Z"},
        headers=version.etag,
    )
    assert deployed.status == 200, deployed.body
    run_id = made(alice, f"{place}/run", {"payload": None})["runId"]
    body = {"connectionId": shop, "newConnectionId": other}
    assert alice("PUT", f"{place}/replaceConnection", body).status == 428
    etag = alice("GET", place).etag
    replaced = alice("PUT", f"{place}/replaceConnection", body, headers=etag)
    assert replaced.status == 200, replaced.body
    assert replaced.body["deployedVersionId"] == replaced.body["latestVersionId"]
    assert replaced.body["deployedVersionId"] != flow["latestVersionId"]
    assert alice("GET", f"/v1/runs/{run_id}").body["status"] == "cancelled"
    for _ in range(2):
        cancelled = alice("POST", f"/v1/runs/{run_id}/cancel")
        assert (cancelled.status, cancelled.body["status"]) == (200, "cancelled")
    unused = alice("PUT", f"{place}/replaceConnection", body, headers=alice("GET", place).etag)
    assert unused.errors == {("connectionNotUsed", "/connectionId")}
    events = [entry["event"] for entry in alice("GET", f"{place}/audit").body["data"]]
    assert events == ["deployed", "connectionReplaced", "deployed", "created"]


def test_the_direction_of_a_drawing_is_set(alice: Client) -> None:
    """Over the revision that was read."""
    flow = reading_flow(alice, connection(alice, "shop"))
    place = f"/v1/flows/{flow['id']}/layoutDirection"
    etag = {"If-Match": '"1"'}
    changed = alice("PATCH", place, {"layoutDirection": "vertical"}, headers=etag)
    assert (changed.status, changed.body["layoutDirection"]) == (200, "vertical")
    assert alice("PATCH", place, {"layoutDirection": "up"}, headers=etag).status == 422
    assert alice("PATCH", place, {"layoutDirection": "vertical"}, headers=etag).status == 412
    turned = alice("PATCH", place, headers=changed.etag)
    assert (turned.status, turned.body["layoutDirection"]) == (200, "horizontal")

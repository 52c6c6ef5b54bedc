"""Lists over the API: pages, orders, filters, chosen fields and included relations."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import batched
from urllib.parse import parse_qsl

import boto3
import pytest
from botocore.model import OperationModel
from tests.functional.conftest import Stack
from tests.support.app import Answer, Client, load_handler
from tests.support.collections import SAMPLES, Sample
from tests.support.samples import flow

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.ports import Create
from millrace.http.parameters import strange_names
from millrace.http.queries import FlowsQuery
from millrace.usecases.includes.catalogue import FLOW, VERSION
from millrace.usecases.includes.relation import names_of

MAP = {"type": "Process", "operations": [{"type": "map", "expression": "$"}]}


def ask(client: Client, path: str = "/v1/flows", **query: str) -> Answer:
    """A list; `filter_name` stands for `filter[name]`."""
    given = {
        f"filter[{name.removeprefix('filter_')}]" if name.startswith("filter_") else name: value
        for name, value in query.items()
    }
    return client("GET", path, query=given)


def names(answer: Answer) -> str:
    """The names of what a list shows, one letter each."""
    assert answer.status == 200, answer.body
    return "".join(each["name"] for each in answer.body["data"])


def make(client: Client, *flow_names: str, **fields: Json) -> list[str]:
    """Flows of these names; their ids."""
    made = [client("POST", "/v1/flows", {"name": name, **fields}) for name in flow_names]
    return [each.body["id"] for each in made]


def link(answer: Answer, relation: str) -> Json:
    """Where a link of an answer leads, as a path with its query."""
    return answer.body["links"][relation]


def follow(client: Client, address: str) -> Answer:
    """The answer to a link."""
    path, _, query = address.partition("?")
    return client("GET", path, query=dict(parse_qsl(query)))


@contextmanager
def counted(client: Client) -> Iterator[tuple[Client, Counter[str]]]:
    """A client of an API of its own, whose DynamoDB requests are counted by name."""
    calls: Counter[str] = Counter()

    def count(model: OperationModel, **_: object) -> None:
        calls[model.name] += 1

    session = boto3.DEFAULT_SESSION
    assert session is not None
    session.events.register("before-call.dynamodb", count)
    try:
        yield Client(load_handler("api"), client.authorizer, client.token), calls
    finally:
        session.events.unregister("before-call.dynamodb", count)


@pytest.fixture
def five(alice: Client) -> Client:
    """A workspace with five flows."""
    make(alice, "b", "a", "e", "d", "c")
    return alice


def test_a_list_tells_its_total_and_its_links(five: Client) -> None:
    """In the body, and as a header of RFC 8288."""
    answer = ask(five, perPage="2")
    assert answer.body["meta"] == {"total": 5, "page": 1, "perPage": 2, "pages": 3}
    assert answer.body["links"].keys() == {"first", "prev", "next", "last"}
    assert link(answer, "last") == "/v1/flows?perPage=2&page=3"
    for relation, address in answer.body["links"].items():
        told = f'<{address}>; rel="{relation}"' in answer.headers["link"]
        assert told == (address is not None)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("id", "baedc"),
        ("-createdAt", "cdeab"),
        ("-createdAt,name", "cdeab"),
        ("name", "abcde"),
        ("-name", "edcba"),
        ("name,createdAt", "abcde"),
        ("-name,-id", "edcba"),
        ("name,-createdAt", "abcde"),
        ("enabledAt,-name", None),
        ("-lastExecutedAt", "cdeab"),
        ("lastExecutedAt,name", "abcde"),
    ],
)
def test_every_order_is_the_same_by_cursor_and_by_number(
    five: Client, sort: str, expected: str | None
) -> None:
    """Page after page each flow once, whichever way the pages are asked for."""
    whole = names(ask(five, sort=sort))
    assert expected in {None, whole}
    answer = ask(five, sort=sort, perPage="2")
    seen = names(answer)
    while link(answer, "next"):
        answer = follow(five, link(answer, "next"))
        seen += names(answer)
    assert seen == whole
    assert "".join(names(ask(five, sort=sort, perPage="2", page=n)) for n in "1234") == whole
    middle = ask(five, sort=sort, perPage="2", page="2")
    assert names(follow(five, link(middle, "next"))) == whole[4:]
    assert names(follow(five, link(middle, "prev"))) == whole[:2]
    assert names(follow(five, link(middle, "last"))) == whole[4:]
    assert middle.body["meta"]["total"] == 5


def test_a_cursor_is_of_its_order(five: Client) -> None:
    """In another order it would skip some and repeat others."""
    cursor = link(ask(five, sort="name", perPage="2"), "next").partition("cursor=")[2]
    for sort in ("-name", "id", "name,-id"):
        assert ask(five, sort=sort, cursor=cursor).status == 400


def filtered(client: Client) -> dict[str, str]:
    """Four flows, each other in what can be filtered by; ids by name."""
    label = client("POST", "/v1/labels", {"name": "Finance"}).body["id"]
    place = client("POST", "/v1/integrations", {"name": "ERP"}).body["id"]
    (a,) = make(client, "Alpha", labels=[label])
    (b,) = make(client, "Beta", enabled=False)
    (c,) = make(client, "Gamma", integrationId=place, stableKey="g")
    (d,) = make(client, "alphabet", steps=[{"id": "s", "type": "Process", "action": MAP}])
    version = client("GET", f"/v1/flows/{d}").body["latestVersionId"]
    path = f"/v1/flows/{d}/versions/{version}"
    etag = client("GET", path).etag
    client("PUT", path, {"deployedAt": "2026-01-31T09:00:00Z"}, headers=etag)
    client("POST", f"/v1/flows/{d}/versions")
    return {"a": a, "b": b, "c": c, "d": d, "label": label, "place": place, "version": version}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"filter_name": "alpha"}, "ad"),
        ({"filter_name": "BET,gam"}, "bcd"),
        ({"filter_labelled": "true"}, "a"),
        ({"filter_labelled": "false"}, "bcd"),
        ({"filter_labelled": "{label}"}, "a"),
        ({"filter_labelled": "{label},false"}, "abcd"),
        ({"filter_enabled": "false"}, "b"),
        ({"filter_enabled": "true,false"}, "abcd"),
        ({"filter_deployed": "true"}, "d"),
        ({"filter_deployed": "false", "filter_enabled": "true"}, "ac"),
        ({"filter_versions": "2"}, "d"),
        ({"filter_versions": "1,none"}, "abc"),
        ({"filter_versions": "none"}, ""),
        ({"filter_versions.id": "{version}"}, "d"),
        ({"filter_versions.id": "{version},ver_9", "filter_enabled": "false"}, ""),
        ({"filter_id": "{b},{a},flow_9"}, "ab"),
        ({"filter_id": "{b},{d}", "filter_versions.id": "{version}"}, "d"),
        ({"filter_integrationId": "{place},int_9"}, "c"),
        ({"filter_stableKey": "{place}/g"}, "c"),
        ({"filter_stableKey": "g"}, ""),
        ({"filter_templateId": "tpl_9"}, ""),
        ({"filter_templateVersion": "2"}, ""),
        ({"filter_name": "a", "sort": "-name,id"}, "abcd"),
    ],
    ids=lambda value: ",".join(map("=".join, value.items())) if isinstance(value, dict) else None,
)
def test_filters_choose_flows(alice: Client, query: dict[str, str], expected: str) -> None:
    """All filters must hold, each for any of its values."""
    ids = filtered(alice)
    answer = ask(alice, **{name: value.format_map(ids) for name, value in query.items()})
    assert answer.status == 200, answer.body
    assert {flow["id"] for flow in answer.body["data"]} == {ids[letter] for letter in expected}
    assert answer.body["meta"]["total"] == len(expected)


def test_a_filtered_list_goes_on_by_cursor(five: Client) -> None:
    """Its total is known once the whole list was looked at."""
    make(five, "xa", "xb", "xc")
    first = ask(five, filter_name="x", perPage="2")
    assert [flow["name"] for flow in first.body["data"]] == ["xa", "xb"]
    assert first.body["meta"]["total"] is None
    rest = follow(five, link(first, "next"))
    assert [flow["name"] for flow in rest.body["data"]] == ["xc"]
    assert link(rest, "next") is None
    second = ask(five, filter_name="x", perPage="2", page="2")
    assert second.body["meta"] == {"total": 3, "page": 2, "perPage": 2, "pages": 2}


def fill(stack: Stack, client: Client, number: int) -> None:
    """Store so many flows, older than any that a client makes."""
    workspace = client("GET", "/v1/tokenInfo").body["workspaceId"]
    flows = [flow(f"flow_0{place:04d}", workspace_id=workspace) for place in range(number)]
    for some in batched(flows, 90, strict=False):
        stack.context.resources.commit(*map(Create, some))


def test_a_filter_looks_at_so_many_and_goes_on(
    stack: Stack, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long list is searched piece by piece; each request takes a bounded number of reads."""
    monkeypatch.setattr(limits, "WALKED_ITEMS", 200)
    fill(stack, alice, 200)
    make(alice, "wanted")
    with counted(alice) as (client, calls):
        first = ask(client, filter_name="wanted")
    assert (first.body["data"], first.body["meta"]["total"], calls) == ([], None, {"Query": 2})
    assert names(follow(alice, link(first, "next"))) == "wanted"
    assert ask(alice, filter_name="wanted", page="2").status == 400


def test_far_pages_are_refused(alice: Client) -> None:
    """With what to do instead."""
    assert ask(alice, page="100", perPage="100").status == 200
    far = ask(alice, page="101", perPage="100")
    assert (far.status, "cursor" in far.body["detail"]) == (400, True)


def test_long_lists_are_not_sorted_by_what_no_index_has(
    stack: Stack, five: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take reading the whole list."""
    monkeypatch.setattr(limits, "SORTED_ITEMS", 20)
    fill(stack, five, 15)
    assert ask(five, sort="enabledAt,-name").status == 200
    make(five, "one too many")
    assert ask(five, sort="name,id").status == 200
    long = ask(five, sort="enabledAt,-name")
    assert (long.status, "first key alone" in long.body["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ({"sort": "age,-name,size"}, {("unknownSort", "sort")}),
        ({"filter_colour": "red"}, {("unknownFilter", "filter[colour]")}),
        ({"colour": "red"}, {("unknownParameter", "colour")}),
        ({"per_page": "5"}, {("unknownParameter", "per_page")}),
        ({"filter_enabled": "maybe"}, {("valueError", "filter[enabled]")}),
        ({"filter_versions": "many"}, {("valueError", "filter[versions]")}),
        ({"filter_id": ",".join(map(str, range(101)))}, {("valueError", "filter[id]")}),
        ({"filter_versions.id": ",".join("a" * 11)}, {("valueError", "filter[versions.id]")}),
        ({"filter_stableKey": "a/b/c"}, {("valueError", "filter[stableKey]")}),
        ({"include": "labels,colour"}, {("unknownInclude", "include")}),
        ({"include": "labels.colour"}, {("unknownInclude", "include")}),
        ({"include": "colour_count,latestVersion.runs"}, {("unknownInclude", "include")}),
        ({"fields[flows]": "id,colour"}, {("unknownField", "fields[flows]")}),
        ({"fields[versions]": "colour"}, {("unknownField", "fields[versions]")}),
        ({"page": "2", "cursor": "x"}, {("valueError", "page")}),
        ({"page": "0"}, {("greaterThanEqual", "page")}),
        (
            {"sort": "age", "perPage": "0", "colour": "red", "include": "x"},
            {
                ("unknownSort", "sort"),
                ("greaterThanEqual", "perPage"),
                ("unknownParameter", "colour"),
                ("unknownInclude", "include"),
            },
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, str | dict) else None,
)
def test_what_is_not_known_is_refused_by_name(
    alice: Client, query: dict[str, str], errors: set[tuple[str, str]]
) -> None:
    """All of it at once."""
    answer = ask(alice, **query)
    assert (answer.status, answer.errors) == (400, errors)


def test_the_refusal_names_what_is_known(alice: Client) -> None:
    """So that a caller need not look it up."""
    (error,) = ask(alice, include="colour").body["errors"]
    assert "'colour'" in error["message"]
    assert "currentVersion.steps.connector.authenticationImplementation.system" in error["remedy"]
    (error,) = ask(alice, sort="age").body["errors"]
    assert error["remedy"] == "Known are id, createdAt, name, enabledAt, lastExecutedAt."


def test_a_parameter_given_twice_is_refused() -> None:
    """Otherwise one of them would be ignored."""
    found = strange_names("filter[name]=a&filter%5Bname%5D=b&sort=id", FlowsQuery.names())
    assert [(each.code, each.pointer) for each in found] == [("repeatedParameter", "filter[name]")]


def test_no_route_ignores_a_parameter(alice: Client) -> None:
    """Lists of what belongs to a flow, single things and changes alike."""
    (flow_id,) = make(alice, "a")
    for method, path in (
        ("GET", f"/v1/flows/{flow_id}/webhooks"),
        ("GET", f"/v1/flows/{flow_id}/runs"),
        ("GET", f"/v1/flows/{flow_id}/audit"),
        ("GET", "/v1/tokenInfo"),
        ("DELETE", f"/v1/flows/{flow_id}"),
    ):
        answer = alice(method, path, query={"colour": "red"})
        assert (answer.status, answer.errors) == (400, {("unknownParameter", "colour")}), path


def test_plain_resources_have_pages_orders_and_filters(alice: Client) -> None:
    """Of every kind alike; variables by their key."""
    for name in ("b", "C", "a"):
        alice("POST", "/v1/labels", {"name": name})
        alice("POST", "/v1/variables", {"key": name, "value": "x"})
    labels = ask(alice, "/v1/labels", sort="name", perPage="2")
    assert (names(labels), labels.body["meta"]["total"]) == ("ab", 3)
    assert names(follow(alice, link(labels, "next"))) == "C"
    assert names(ask(alice, "/v1/labels", filter_name="c,A", sort="-createdAt")) == "aC"
    ids = [label["id"] for label in labels.body["data"]]
    assert names(ask(alice, "/v1/labels", filter_id=",".join(ids))) == "ba"
    variables = ask(alice, "/v1/variables", sort="-name", filter_name="b,c")
    assert [each["key"] for each in variables.body["data"]] == ["C", "b"]
    assert ask(alice, "/v1/labels", sort="enabledAt").errors == {("unknownSort", "sort")}
    assert ask(alice, "/v1/tokens").body["meta"]["total"] == 1


def test_fields_choose_what_is_shown(five: Client) -> None:
    """In lists and of one flow; of versions that are included as well."""
    shown = {"fields[flows]": "id,name,enabledAt", "fields[versions]": "number"}
    listed = five("GET", "/v1/flows", query={**shown, "include": "latestVersion"})
    assert all(
        each.keys() == {"id", "name", "enabledAt", "latestVersion"} for each in listed.body["data"]
    )
    assert listed.body["data"][0]["latestVersion"] == {"number": 1}
    path = f"/v1/flows/{listed.body['data'][0]['id']}"
    one = five("GET", path, query={"fields[flows]": "name,steps"})
    assert (one.body, one.headers["etag"]) == ({"name": "b", "steps": []}, '"1"')
    assert five("GET", "/v1/flows", query={"fields[flows]": "steps"}).status == 400


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.collection)
def test_fields_choose_what_is_shown_of_plain_resources(alice: Client, sample: Sample) -> None:
    """In their lists and of one; what is not a field is refused by name, so is another kind's."""
    path = f"/v1/{sample.collection}"
    made = alice("POST", path, sample.given)
    field = f"fields[{sample.collection}]"
    query = {field: f"id,{sample.key}", "sort": "-createdAt"}
    shown = {name: made.body[name] for name in ("id", sample.key)}
    listed = alice("GET", path, query=query)
    assert (listed.body["data"], listed.body["meta"]["total"]) == ([shown], 1)
    one = alice("GET", f"{path}/{made.body['id']}", query={field: f"id,{sample.key}"})
    assert (one.body, one.headers["etag"]) == (shown, '"1"')
    for place in (path, f"{path}/{made.body['id']}"):
        refused = alice("GET", place, query={field: "id,colr"})
        assert (refused.status, refused.errors) == (400, {("unknownField", field)})
        refused = alice("GET", place, query={"fields[flows]": "id"})
        assert (refused.status, refused.errors) == (400, {("unknownParameter", "fields[flows]")})


def test_nothing_hidden_can_be_chosen(alice: Client) -> None:
    """Neither the hash of a token, nor a secret that a field's name stands for."""
    alice("POST", "/v1/tokens", {"name": "laptop", "role": "viewer"})
    refused = alice("GET", "/v1/tokens", query={"fields[tokens]": "secretHash"})
    assert (refused.status, refused.errors) == (400, {("unknownField", "fields[tokens]")})
    group = {"name": "n", "targets": [{"type": "email", "address": "a@b.example"}]}
    alice("POST", "/v1/notificationGroups", {**group, "signingSecret": "s3cret"})
    query = {"fields[notificationGroups]": "name,signingSecret"}
    assert alice("GET", "/v1/notificationGroups", query=query).body["data"] == [{"name": "n"}]


@pytest.mark.parametrize("kind", ["webhooks", "callbacks"])
def test_addresses_are_listed_like_anything_else(alice: Client, kind: str) -> None:
    """By cursor, with their total, in either direction, as much of them as is wanted."""
    (flow_id,) = make(alice, "a")
    path = f"/v1/flows/{flow_id}/{kind}"
    made = [alice("POST", path, {"name": name}).body for name in "abc"]
    first = alice("GET", path, query={"perPage": "2"})
    rest = follow(alice, link(first, "next"))
    assert [*first.body["data"], *rest.body["data"]] == made
    assert (first.body["meta"]["total"], 'rel="next"' in first.headers["link"]) == (3, True)
    query = {"sort": "-createdAt", f"fields[{kind}]": "name"}
    assert alice("GET", path, query=query).body["data"] == [{"name": name} for name in "cba"]
    one = alice("GET", f"{path}/{made[0]['id']}", query={f"fields[{kind}]": "flowId"})
    assert (one.body, one.headers["etag"]) == ({"flowId": flow_id}, '"1"')
    assert alice("GET", path, query={f"fields[{kind}]": "nmae"}).status == 400
    assert alice("GET", path, query={"filter[name]": "a"}).status == 400


def a_whole_flow(client: Client) -> tuple[str, str]:
    """A flow with something of each relation; ids of flow and deployed version."""
    label = client("POST", "/v1/labels", {"name": "Finance"}).body["id"]
    group = client(
        "POST",
        "/v1/notificationGroups",
        {"name": "On call", "targets": [{"type": "url", "url": "https://chat.example/x"}]},
    ).body["id"]
    auth = {"type": "bearer", "token": "s3cret-text"}
    given = {"name": "Shop", "baseUrl": "https://shop.example", "auth": auth}
    shop = client("POST", "/v1/connections", given).body["id"]
    work = {"type": "Export", "connectionId": shop, "http": {"path": "/orders"}}
    action = client("POST", "/v1/actions", {"name": "Orders", "work": work}).body["id"]
    steps = [
        {"id": "read", "type": "Export", "referrer": action, "filter": "wanted"},
        {"id": "more", "type": "Export", "action": work},
        {"id": "map", "type": "Process", "action": MAP, "dependsOn": ["read", "more"]},
    ]
    (flow_id,) = make(
        client,
        "whole",
        labels=[label],
        notificationGroups=[group],
        steps=steps,
        schedule="rate(1 hour)",
    )
    version = client("GET", f"/v1/flows/{flow_id}").body["latestVersionId"]
    path = f"/v1/flows/{flow_id}/versions/{version}"
    etag = client("GET", path).etag
    deployed = client("PUT", path, {"deployedAt": "2026-01-31T09:00:00Z"}, headers=etag)
    assert deployed.status == 200, deployed.body
    client("POST", f"/v1/flows/{flow_id}/webhooks", {})
    client("POST", f"/v1/flows/{flow_id}/callbacks", {})
    client("POST", f"/v1/flows/{flow_id}/run", {})
    return flow_id, version


EVERYTHING = ",".join(
    [*names_of(FLOW), *(f"{name}{more}" for name in FLOW for more in ("_count", "Exists"))]
)


@pytest.mark.parametrize("alone", [False, True], ids=["list", "one"])
def test_everything_can_be_included(alice: Client, alone: bool) -> None:  # noqa: FBT001 - a parameter
    """Each relation that the original API names, with its number and whether there is any."""
    flow_id, version = a_whole_flow(alice)
    if alone:
        shown = alice("GET", f"/v1/flows/{flow_id}", query={"include": EVERYTHING}).body
    else:
        (shown,) = ask(alice, include=EVERYTHING).body["data"]
    assert "s3cret-text" not in str(shown)
    for name in ("latestVersion", "deployedVersion", "latestDeployedVersion", "currentVersion"):
        assert (shown[name]["id"], shown[name]["status"]) == (version, "deployed")
    assert [each["id"] for each in shown["versions"]] == [version]
    assert [each["name"] for each in shown["labels"]] == ["Finance"]
    assert [each["name"] for each in shown["notificationGroups"]] == ["On call"]
    assert [each["name"] for each in shown["webhooks"]] == ["webhook"]
    assert [each["name"] for each in shown["callbacks"]] == ["callback"]
    assert (shown["messageBrokers"], shown["messageBrokerQueues"]) == ([], [])
    (deployment,) = shown["deployments"]
    assert deployment["flowVersion"]["id"] == deployment["flowVersionId"] == version
    assert (deployment["virtualEnvironment"], deployment["package"]) == (None, None)
    assert deployment["enabledBy"]["name"] == "test"
    current = shown["currentVersion"]
    assert current["deployedByUser"]["name"] == "test"
    assert current["schedules"] == [
        {"expression": "rate(1 hour)", "timezone": "UTC", "stepId": None}
    ]
    assert current["filters"][0]["expression"] == "wanted"
    assert (current["latestRun"]["status"], current["variables"]) == ("running", [])
    read, more, mapped = current["steps"]
    for step in (read, more):
        authentication = step["connector"]["authenticationImplementation"]
        assert authentication["type"] == "bearer"
        system = authentication["system"]
        assert system["baseUrl"] == "https://shop.example"
        (endpoint,) = system["endpoints"]
        assert (endpoint["direction"], endpoint["httpMethod"]) == ("Export", "GET")
        assert endpoint["path"] == "/orders"
        assert (endpoint["preScriptVersion"], endpoint["postScriptVersion"]) == (None, None)
    assert (mapped["connector"], mapped["cache"], mapped["dataPool"]) == (None, None, None)
    assert (mapped["variables"], mapped["scriptVersion"]) == ([], None)
    some = {name: shown[f"{name}_count"] for name in FLOW}
    assert some == {name: 0 if name.startswith("message") else 1 for name in FLOW}
    assert all(shown[f"{name}Exists"] == (number > 0) for name, number in some.items())


def test_versions_include_what_belongs_to_them(alice: Client) -> None:
    """In their list, newest first if so asked, and one by one."""
    flow_id, version = a_whole_flow(alice)
    draft = alice("POST", f"/v1/flows/{flow_id}/versions").body["id"]
    relations = [*names_of(VERSION), "runs_count", "latestRunExists", "stepsExists"]
    query = {"include": ",".join(relations), "sort": "-createdAt"}
    listed = alice("GET", f"/v1/flows/{flow_id}/versions", query=query)
    assert [each["id"] for each in listed.body["data"]] == [draft, version]
    assert listed.body["meta"]["total"] == 2
    new, old = listed.body["data"]
    assert [(each["runs_count"], each["latestRunExists"]) for each in (new, old)] == [
        (0, False),
        (1, True),
    ]
    assert (new["deployedByUser"], old["deployedByUser"]["name"]) == (None, "test")
    assert old["runs"][0]["id"] == old["latestRun"]["runId"]
    path = f"/v1/flows/{flow_id}/versions/{version}"
    one = alice("GET", path, query={"include": ",".join(relations)})
    assert one.body == old
    plain = alice("GET", path)
    assert [step["id"] for step in plain.body["steps"]] == ["read", "more", "map"]
    assert alice("GET", path, query={"fields[versions]": "number"}).body == {"number": 1}
    paged = alice("GET", f"/v1/flows/{flow_id}/versions", query={"perPage": "1"})
    rest = follow(alice, link(paged, "next"))
    assert [each["id"] for each in (*paged.body["data"], *rest.body["data"])] == [version, draft]


def test_only_schedules_that_start_something_are_included(alice: Client) -> None:
    """Not the flow's if each source has its own, nor one of a step that is skipped."""
    given = {"name": "Shop", "baseUrl": "https://shop.example"}
    shop = alice("POST", "/v1/connections", given).body["id"]
    work = {"type": "Export", "connectionId": shop, "http": {"path": "/orders"}}
    step = {"type": "Export", "action": work}
    steps = [
        {"id": "read", "schedule": "rate(2 hours)", **step},
        {"id": "off", "schedule": "rate(3 hours)", "isSkipped": True, **step},
        {"id": "more", "isSkipped": True, **step},
    ]
    make(alice, "own", steps=steps, schedule="rate(1 hour)")
    (shown,) = ask(alice, include="latestVersion.schedules").body["data"]
    (schedule,) = shown["latestVersion"]["schedules"]
    assert schedule == {"expression": "rate(2 hours)", "timezone": "UTC", "stepId": "read"}


def test_versions_have_numbered_pages(alice: Client) -> None:
    """With totals and links, forwards and backwards, and on by cursor."""
    (flow_id,) = make(alice, "a", steps=[{"id": "s", "type": "Process", "action": MAP}])
    path = f"/v1/flows/{flow_id}/versions"
    for _ in range(4):
        latest = alice("GET", path, query={"sort": "-createdAt", "perPage": "1"}).body["data"][0]
        etag = alice("GET", f"{path}/{latest['id']}").etag
        alice("PUT", f"{path}/{latest['id']}", {"deployedAt": "2026-01-31T09:00:00Z"}, headers=etag)
        alice("POST", path)

    def numbers(answer: Answer) -> list[int]:
        return [each["number"] for each in answer.body["data"]]

    pages = [alice("GET", path, query={"perPage": "2", "page": n}) for n in "1234"]
    assert [numbers(each) for each in pages] == [[1, 2], [3, 4], [5], []]
    assert pages[1].body["meta"] == {"total": 5, "page": 2, "perPage": 2, "pages": 3}
    assert link(pages[1], "prev") == f"{path}?perPage=2&page=1"
    assert numbers(follow(alice, link(pages[1], "next"))) == [5]
    assert numbers(follow(alice, link(pages[1], "last"))) == [5]
    assert link(pages[2], "next") is None
    newest = alice("GET", path, query={"perPage": "2", "page": "2", "sort": "-createdAt"})
    assert numbers(newest) == [3, 2]
    shown = alice("GET", path, query={"perPage": "2", "page": "3", "fields[versions]": "number"})
    assert shown.body["data"] == [{"number": 5}]
    assert alice("GET", path, query={"perPage": "100", "page": "101"}).status == 400
    assert alice("GET", path, query={"page": "0"}).status == 400
    with counted(alice) as (client, calls):
        client("GET", path, query={"page": "3", "perPage": "2"})
    assert calls == {"GetItem": 1, "Query": 1, "BatchGetItem": 1}


def test_a_list_includes_the_newest_versions(alice: Client) -> None:
    """Of one flow all of them, as many as a page has."""
    (flow_id,) = make(alice, "a", steps=[{"id": "s", "type": "Process", "action": MAP}])
    for _ in range(limits.RECENT_VERSIONS):
        path = f"/v1/flows/{flow_id}/versions"
        latest = alice("GET", path, query={"sort": "-createdAt", "perPage": "1"}).body["data"][0]
        etag = alice("GET", f"{path}/{latest['id']}").etag
        alice("PUT", f"{path}/{latest['id']}", {"deployedAt": "2026-01-31T09:00:00Z"}, headers=etag)
        alice("POST", path)
    (listed,) = ask(alice, include="versions,versions_count").body["data"]
    numbers = [each["number"] for each in listed["versions"]]
    assert (numbers, listed["versions_count"]) == ([*range(11, 1, -1)], 11)
    one = alice("GET", f"/v1/flows/{flow_id}", query={"include": "versions"}).body
    assert len(one["versions"]) == 11


def test_an_answer_that_would_be_too_large_is_refused(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do about it."""
    monkeypatch.setattr(limits, "ANSWER_BYTES", 1_000)
    make(alice, "a", "b")
    answer = ask(alice)
    assert (answer.status, "perPage" in answer.body["detail"]) == (413, True)
    assert ask(alice, **{"fields[flows]": "id"}).status == 200


@pytest.mark.parametrize(
    ("path", "query", "reads"),
    [
        ("/v1/flows", {}, {"Query": 1}),
        ("/v1/flows", {"perPage": "100", "fields[flows]": "id"}, {"Query": 1}),
        ("/v1/labels", {}, {"Query": 1}),
        ("/v1/flows", {"sort": "name"}, {"Query": 1, "BatchGetItem": 1}),
        ("/v1/flows", {"page": "3", "perPage": "2"}, {"Query": 1, "BatchGetItem": 1}),
        ("/v1/flows", {"filter[id]": "flow_1,flow_2"}, {"BatchGetItem": 1}),
        ("/v1/flows", {"filter[enabled]": "true"}, {"Query": 1}),
        ("/v1/flows/{flow}", {}, {"BatchGetItem": 1}),
        ("/v1/flows/{flow}/versions/{version}", {}, {"GetItem": 1}),
        ("/v1/flows", {"include": EVERYTHING}, {"Query": 1, "BatchGetItem": 4}),
        *(
            ("/v1/flows", {"include": name}, {"Query": 1, "BatchGetItem": 1})
            for name in FLOW
            if not name.startswith("message")
        ),
        ("/v1/flows", {"include": "labels_count,versionsExists"}, {"Query": 1}),
        ("/v1/flows", {"include": "messageBrokers"}, {"Query": 1}),
        (
            "/v1/flows",
            {"include": "currentVersion.steps.connector.authenticationImplementation.system"},
            {"Query": 1, "BatchGetItem": 3},
        ),
        ("/v1/flows/{flow}", {"include": "versions"}, {"Query": 1, "BatchGetItem": 1}),
    ],
    ids=lambda value: str(value) if isinstance(value, str | dict) else None,
)
def test_a_list_takes_as_many_reads_as_it_has_relations(
    alice: Client, path: str, query: dict[str, str], reads: dict[str, int]
) -> None:
    """However many flows it shows: one for the list, one for all that can be read at once."""
    flow_id, version = a_whole_flow(alice)
    make(alice, *"abcdefgh", labels=labels_of(alice))
    with counted(alice) as (client, calls):
        answer = client("GET", path.format(flow=flow_id, version=version), query=query)
    assert (answer.status, dict(calls)) == (200, reads)


def labels_of(client: Client) -> list[str]:
    """The labels that there are."""
    return [label["id"] for label in client("GET", "/v1/labels").body["data"]]

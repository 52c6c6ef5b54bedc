"""Any document comes into a workspace, leaves it, and comes into the next one, as it was."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.samples import ALICE, MALLORY
from tests.support.world import World

from millrace.domain.base import Json
from millrace.domain.flow import FlowInput
from millrace.domain.flow_document import FlowDocument
from millrace.domain.notification_group import EmailTarget, NotificationGroupInput
from millrace.domain.token import Caller
from millrace.usecases.export_flow import ExportRequest, export_flow
from millrace.usecases.flow_changes import create_flow
from millrace.usecases.flow_zip import pack_document, unpack_document
from millrace.usecases.import_request import ImportRequest, import_request
from millrace.usecases.plain import NOTIFICATION_GROUPS

NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
AUTH: list[Json] = [
    {"type": "none"},
    {"type": "bearer"},
    {"type": "basic", "username": "u"},
    {"type": "hmac", "signedText": "{body}", "prefix": "v1="},
]


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Documents that keep all rules, with keys and without, by which steps share what they use."""

    def resources(kind: str, least: int = 0, **fields: st.SearchStrategy[Json]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for number in range(draw(st.integers(least, 3))):
            each: dict[str, Any] = {name: draw(value) for name, value in fields.items()}
            each["name"] = draw(NAMES)
            if draw(st.booleans()):
                each["stableKey"] = f"{kind}.{number}"
            made[draw(st.sampled_from([f"{kind}.{number}", f"{kind}-{9 - number}"]))] = each
        return made

    connections = resources(
        "connection",
        1,
        auth=st.sampled_from(AUTH),
        baseUrl=st.just("https://shop.example"),
        headers=st.dictionaries(st.just("X-Tenant"), NAMES),
    )
    connection = st.sampled_from(sorted(connections))
    http: Json = {"path": "/orders"}
    exports = connection.map(lambda key: {"type": "Export", "connectionId": key, "http": http})
    pools = resources("dataPool", ttlSeconds=st.integers(1, 9))
    pool_id = st.sampled_from([{"dataPoolId": key} for key in sorted(pools)] or [{}])
    names: Json = {"type": "enrich", "key": "id", "variable": "names", "into": "name"}
    processes = pool_id.map(
        lambda named: {
            "type": "Process",
            "operations": [{"type": "dedupe", "key": "id", **named}, names],
        }
    )
    work = exports | processes
    actions = resources("action", work=work)
    groups = [{"id": "nightly", "name": "Nightly"}]
    integrations = dict(list(resources("integration", groups=st.just(groups)).items())[:1])
    labels = resources("label", colour=st.sampled_from(["#000000", "#AbCdEf"]))
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 4))):
        is_skipped, is_shared = draw(st.booleans()), draw(st.booleans())
        step: dict[str, Any] = {
            "id": f"s{number}",
            "isSkipped": number > 0 and is_skipped,
            "position": draw(st.none() | st.just({"x": 0.5, "y": -1.0})),
        }
        if actions and is_shared:
            step["referrer"] = draw(st.sampled_from(sorted(actions)))
            step["type"] = actions[step["referrer"]]["work"]["type"]
        else:
            step["action"] = draw(work)
            step["type"] = step["action"]["type"]
        steps.append(step)
    flow: dict[str, Any] = {
        "name": draw(NAMES),
        "stableKey": draw(st.none() | st.just("orders")),
        "priority": draw(st.integers(1, 5)),
        "settings": draw(st.dictionaries(NAMES, st.none() | st.integers() | NAMES, max_size=2)),
        "steps": steps,
        "labels": draw(st.permutations(sorted(labels))),
        "notificationGroups": draw(st.sampled_from([[], ["g"]])),
        "runNextFlowIds": draw(st.sampled_from([[], ["f"]])),
        "aliases": [{"alias": "shop", "connectionId": draw(connection)}],
        "webhooks": [
            {"name": draw(NAMES), "stableKey": f"w{number}", "hmacAlgorithm": algorithm}
            for number, algorithm in enumerate(
                draw(st.lists(st.sampled_from([None, "sha1", "sha256"]), max_size=2))
            )
        ],
        "callbacks": [{"name": draw(NAMES)} for _ in range(draw(st.integers(0, 2)))],
    }
    if integrations:
        flow["integrationId"] = next(iter(integrations))
        flow["flowGroupId"] = draw(st.none() | st.just("nightly"))
    return {
        "flow": flow,
        "dependencies": {
            "connections": connections,
            "dataPools": pools,
            "actions": actions,
            "integrations": integrations,
            "labels": labels,
            "notificationGroups": {"g": {"name": "On call", "stableKey": "call"}},
            "flows": {"f": {"name": "Next", "stableKey": "next"}},
        },
    }


def settle(world: World, caller: Caller) -> None:
    """Make what no document brings along."""
    target = EmailTarget(type="email", address="a@shop.example")
    group = NotificationGroupInput(name="On call", stable_key="call", targets=(target,))
    NOTIFICATION_GROUPS.create(world.context, caller, group)
    create_flow(world.context, caller, FlowInput(name="Next", stable_key="next"))


def moved(world: World, caller: Caller, document: dict[str, Any]) -> FlowDocument:
    """A document as it leaves a workspace that it came into."""
    result = import_request(world.context, caller, ImportRequest.model_validate(document))
    asked = ExportRequest(flow_id=result.resources[0].id)
    return export_flow(world.context, caller, asked)


def portable(document: FlowDocument) -> dict[str, Any]:
    """A document without when it left, and who had it leave."""
    return document.to_json() | {"metadata": None}


@settings(deadline=None)
@given(documents())
def test_a_document_survives_the_round_trip(document: dict[str, Any]) -> None:
    """From workspace to workspace, once more into the same one, and through a zip."""
    world = World()
    settle(world, ALICE)
    settle(world, MALLORY)
    first = moved(world, ALICE, document)
    assert first.flow.name == document["flow"]["name"]
    assert len(first.flow.steps) == len(document["flow"]["steps"])
    second = moved(world, MALLORY, first.to_json())
    assert portable(second) == portable(first)
    assert portable(moved(world, MALLORY, first.to_json())) == portable(first)
    data = pack_document(second)
    assert FlowDocument.model_validate(unpack_document(data, "/template")) == second

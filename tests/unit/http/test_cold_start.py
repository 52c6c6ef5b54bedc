"""What a cold start imports: what its request needs, and no more.

Who calls a public address waits for it, as who calls the API does.

Everything that is imported is compiled first, as a layer has no bytecode; each 100 lines take about
a millisecond. So a new import fails here until somebody has decided that all requests need it.
"""

import json
import subprocess
import sys
from typing import Any, Final

from tests.support.app import event
from tests.support.aws import ENVIRONMENT, ROOT, TABLE
from tests.support.samples import ALICE, process_step
from tests.support.world import World

from millrace.domain.flow import LatestSteps
from millrace.domain.webhook import WebhookInput
from millrace.storage.items import item_of
from millrace.usecases.flows import latest_version
from millrace.usecases.webhooks import WEBHOOKS

type _Loaded = tuple[list[str], int, list[str]]
"""Modules after the import of a function, the status of its first answer, modules after it."""

AT_IMPORT: Final = {
    "": "config limits measured_runs observability targets wiring",
    "connectors": "registry",
    "domain": "action aws_imports base batch_lookup cursor delta errors failed_record findings "
    "flow flow_parts formats imports json_text mapping_places metrics operations orders pagination "
    "pointers pool_entries ports quick_json records remembered request_paths resource run "
    "run_states schedule shape sources spoken_of step token",
    "http": "api app body idempotency parameters problems requests roles routing",
    "orchestration": "lambda_functions notifier scheduler step_functions",
    "storage": "attributes batches changes codec counters dynamodb_failed_records "
    "dynamodb_pool_entries dynamodb_resources dynamodb_runs items keys latest_runs lists orders "
    "s3_blobs ssm_secrets troubles writes",
    "usecases": "context once",
}
"""The modules of each package that are imported whatever is asked."""

BY_GET_FLOW: Final = {
    "domain": "integration",
    "http": "documented pages queries query_values shown views",
    "http.routes": "flows",
    "usecases": "flow_lists flows latest_runs lists resources",
    "usecases.includes": "include relation resolve",
}
"""Those that the first GET /v1/flows/{flowId} adds."""

INGRESS_NEVER: Final = (
    "aws_lambda_powertools.event_handler.openapi.models",
    "jsonatapy",
    "jsonpatch",
    "millrace.compiler",
    "millrace.domain.patch",
    "millrace.usecases.checks",
    "millrace.usecases.crud",
    "millrace.usecases.deploy",
    "millrace.usecases.lifecycle",
    "millrace.usecases.work_rules",
)
"""What the ingress function's requests need not, ours and others'."""

NEVER: Final = (
    "aws_lambda_powertools.event_handler.openapi.models",
    "jsonatapy",
    "jsonpatch",
    "jsonschema_rs",
    "ulid",
)
"""Packages of others that these need not, with what is in them."""

REMEDY: Final = """
The API's cold start {when} imports more than it did: {found}.
`python -X importtime functions/api/app.py` tells who imports them (under the environment of
tests/support/aws.py). Then either
- let it be imported by those who need it alone: under TYPE_CHECKING if it is for annotations; by a
  router of its own in http/routing.py; by splitting a module of which a small part is needed;
- or, if every such request needs it, add it to {table} in this file, and look at what
  `python -m benchmarks.api` says of cold starts (the ratios should stay below 1.25).
"""

PROBE: Final = """
import json, sys
folder, asked, bodies = json.load(sys.stdin)
sys.path.insert(0, folder)
from app import handler

def loaded():
    return sorted(sys.modules)

imported = loaded()

from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session

def send(session, request):
    answer = AWSResponse(request.url, 200, {}, None)
    answer._content = json.dumps(bodies.pop(0)).encode()
    return answer

URLLib3Session.send = send
answer = handler(asked, None)
print(json.dumps([imported, answer["statusCode"], loaded()]))
"""


def test_a_cold_start_imports_what_its_request_needs() -> None:
    """Neither the import of the handler nor the first GET of a flow pays for other requests."""
    at_import, status, after_get = _cold_start()
    assert status == 200
    allowed = _names(AT_IMPORT)
    found = _ours(at_import) - allowed | _strangers(at_import)
    assert not found, REMEDY.format(when="(import)", found=_told(found), table="AT_IMPORT")
    found = _ours(after_get) - allowed - _names(BY_GET_FLOW) | _strangers(after_get)
    assert not found, REMEDY.format(when="(GET)", found=_told(found), table="BY_GET_FLOW")


def test_the_ingress_imports_neither_compiler_nor_editor() -> None:
    """It receives; who changes flows and addresses is another function."""
    at_import, status, after_delivery = _first_delivery()
    assert status == 202
    found = {*after_delivery} & {*INGRESS_NEVER}
    assert not found, f"functions/ingress/app.py or its first request imports {_told(found)}"
    late = {name for name in {*after_delivery} - {*at_import} if name == "ulid"}
    late |= _ours(after_delivery) - _ours(at_import)
    assert not late, f"a sender waits until {_told(late)} is imported; app.py could do so before"


def test_the_tables_name_only_what_is_imported() -> None:
    """What is imported no more leaves the tables, so that it does not come back unnoticed."""
    at_import, _, after_get = _cold_start()
    gone = _names(AT_IMPORT) - _ours(at_import)
    gone |= _names(BY_GET_FLOW) - _names(AT_IMPORT) - (_ours(after_get) - _ours(at_import))
    assert not gone, f"take these out of AT_IMPORT or BY_GET_FLOW in this file: {_told(gone)}"


def _cold_start() -> _Loaded:
    """Of the first GET of a flow."""
    world = World()
    flow = world.flow()
    steps = world.context.resources.get(LatestSteps, flow.workspace_id, flow.id)
    items = [item_of(flow, None), item_of(steps, None)]
    asked: dict[str, Any] = event("api")
    path = f"/v1/flows/{flow.id}"
    asked["requestContext"]["http"] |= {"method": "GET", "path": path}
    asked["requestContext"]["authorizer"]["lambda"]["workspaceId"] = flow.workspace_id
    asked |= {"rawPath": path, "body": None}
    return _first("api", asked, {"Responses": {TABLE: items}, "UnprocessedKeys": {}})


def _first_delivery() -> _Loaded:
    """Of the first delivery to a webhook of a deployed flow."""
    world = World()
    flow = world.deployed(process_step("map"))
    webhook = WEBHOOKS.create(world.context, ALICE, WebhookInput(), flow_id=flow.id)
    version = latest_version(world.context, flow)
    both = [item_of(webhook, flow.id), item_of(flow, None)]
    asked: dict[str, Any] = event("ingress")
    asked["pathParameters"] = {"webhookId": webhook.id}
    return _first(
        "ingress",
        asked,
        {"Items": [item_of(webhook, flow.id)]},
        {"Responses": {TABLE: both}, "UnprocessedKeys": {}},
        {"Item": item_of(version, flow.id)},
        {},  # the run is written
        {},  # the flow is told
        {"executionArn": "arn:run", "startDate": 0},
    )


def _first(function: str, asked: dict[str, Any], *bodies: dict[str, Any]) -> _Loaded:
    """A function's first request, for which AWS answers these bodies."""
    given = json.dumps([f"functions/{function}", asked, bodies])
    *_, told = _run(PROBE, given).splitlines()  # behind what the function logs
    found: _Loaded = json.loads(told)
    return found


def _run(script: str, given: str) -> str:
    """What a script prints in an interpreter of its own, under a function's environment."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={
            **ENVIRONMENT,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "PYTHONPATH": ":".join(sys.path),
        },
        input=given,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def _names(table: dict[str, str]) -> set[str]:
    """Modules of a table, with the packages that they are in."""
    modules = {
        f"millrace.{package}.{name}".replace("..", ".")
        for package, names in table.items()
        for name in names.split()
    }
    return modules | {f"millrace.{package}" for package in table if package}


def _ours(modules: list[str]) -> set[str]:
    return {name for name in modules if name.startswith("millrace.")}


def _strangers(modules: list[str]) -> set[str]:
    return {name for name in modules if name in NEVER}


def _told(modules: set[str]) -> str:
    return ", ".join(sorted(modules))

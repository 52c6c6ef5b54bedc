"""What a cold start imports: what its request needs, and no more.

Everything that is imported is compiled first, as a layer has no bytecode; each 100 lines take about
a millisecond. So a new import fails here until somebody has decided that all requests need it.
"""

import json
import subprocess
import sys
from typing import Any, Final

from tests.support.app import event
from tests.support.aws import ENVIRONMENT, ROOT, TABLE
from tests.support.world import World

from millrace.domain.flow import LatestSteps
from millrace.storage.items import item_of

AT_IMPORT: Final = {
    "": "config limits targets wiring",
    "connectors": "registry",
    "domain": "action base cursor delta errors failed_record flow flow_parts formats json_text "
    "metrics operations orders pagination pointers pool_entries ports quick_json records "
    "remembered resource run run_states schedule shape sources token",
    "http": "api app body idempotency parameters problems requests routing",
    "orchestration": "lambda_functions scheduler step_functions",
    "storage": "attributes batches changes codec counters dynamodb_failed_records "
    "dynamodb_pool_entries dynamodb_resources dynamodb_runs items keys latest_runs lists orders "
    "s3_blobs ssm_secrets writes",
    "usecases": "context once",
}
"""The modules of each package that are imported whatever is asked."""

BY_GET_FLOW: Final = {
    "domain": "integration",
    "http": "documented pages queries shown views",
    "http.routes": "flows",
    "usecases": "flow_lists flows latest_runs lists resources",
    "usecases.includes": "include relation resolve",
}
"""Those that the first GET /v1/flows/{flowId} adds."""

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
sys.path.insert(0, "functions/api")
from app import handler

def loaded():
    return sorted(sys.modules)

asked, body = json.load(sys.stdin)
imported = loaded()

from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session

def send(session, request):
    answer = AWSResponse(request.url, 200, {}, None)
    answer._content = json.dumps(body).encode()
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


def test_the_tables_name_only_what_is_imported() -> None:
    """What is imported no more leaves the tables, so that it does not come back unnoticed."""
    at_import, _, after_get = _cold_start()
    gone = _names(AT_IMPORT) - _ours(at_import)
    gone |= _names(BY_GET_FLOW) - _names(AT_IMPORT) - (_ours(after_get) - _ours(at_import))
    assert not gone, f"take these out of AT_IMPORT or BY_GET_FLOW in this file: {_told(gone)}"


def _cold_start() -> tuple[list[str], int, list[str]]:
    """Modules after the import, the status of the first GET of a flow, modules after it."""
    world = World()
    flow = world.flow()
    steps = world.context.resources.get(LatestSteps, flow.workspace_id, flow.id)
    items = [item_of(flow, None), item_of(steps, None)]
    asked: dict[str, Any] = event("api")
    path = f"/v1/flows/{flow.id}"
    asked["requestContext"]["http"] |= {"method": "GET", "path": path}
    asked["requestContext"]["authorizer"]["lambda"]["workspaceId"] = flow.workspace_id
    asked |= {"rawPath": path, "body": None}
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", PROBE],
        cwd=ROOT,
        env={
            **ENVIRONMENT,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "PYTHONPATH": ":".join(sys.path),
        },
        input=json.dumps([asked, {"Responses": {TABLE: items}, "UnprocessedKeys": {}}]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: tuple[list[str], int, list[str]] = json.loads(done.stdout)
    return found


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

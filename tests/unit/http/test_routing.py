"""The table of routers: each route is reached by its path, and nothing else is built for it."""

import json
import subprocess
import sys
from typing import cast

import pytest
from tests.support.app import event
from tests.support.aws import ENVIRONMENT, ROOT
from tests.support.world import World

from millrace.http.routing import CHANGING, ROUTERS, make_router, router_of

ASK = """
import json, sys
sys.path.insert(0, "functions/api")
from app import handler

def loaded():
    wanted = ("millrace.http.routes.", "aws_lambda_powertools.event_handler.openapi.models")
    return sorted(name for name in sys.modules if name.startswith(wanted))

asked, before = json.load(sys.stdin), loaded()
answer = handler(asked, None)
print(json.dumps([before, answer["statusCode"], loaded()]))
"""


@pytest.mark.parametrize("name", dict.fromkeys([*ROUTERS.values(), *CHANGING.values()]))
def test_each_route_is_found_by_its_path(name: str) -> None:
    """A route that the table leads elsewhere would be documented, and answered 404."""
    router = make_router(name, World().context)
    assert router._routes
    for rule, methods, *_ in cast("list[tuple[str, tuple[str]]]", list(router._routes)):
        assert {router_of(method, rule) for method in methods} == {name}, rule


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/nothing", "/v2/flows", "/hooks/wh_1"])
def test_a_path_that_begins_like_no_row_has_no_router(path: str) -> None:
    """So nothing is built to answer 404."""
    assert router_of("GET", path) is None


def test_a_cold_start_builds_the_router_of_its_request_alone() -> None:
    """Neither other routers nor the classes of an OpenAPI document are imported for a flow."""
    asked = event("api")
    asked["requestContext"]["http"] |= {"method": "GET", "path": "/v1/flows/flow_1"}
    asked |= {"rawPath": "/v1/flows/flow_1", "body": None}
    del asked["requestContext"]["authorizer"]
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", ASK],
        cwd=ROOT,
        env={**ENVIRONMENT, "PYTHONPATH": ":".join(sys.path)},
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == [[], 401, ["millrace.http.routes.flows"]]

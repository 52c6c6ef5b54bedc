"""The documentation as it is served, and its examples as a reader would send them."""

import re
from typing import Any

import pytest
from tests.functional.conftest import Stack
from tests.functional.test_api_errors import ids_of
from tests.support.app import Answer, Client, LambdaContext, answer_of, documented, http_event
from tests.support.aws import template

from millrace.http.examples import EXAMPLES
from millrace.http.openapi import document

SHOWN = [(operation, name) for operation, examples in EXAMPLES.items() for name in examples]


def unauthorized(stack: Stack, path: str) -> Answer:
    """The answer to a reader without a token."""
    request = http_event("api", "GET", path)
    del request["requestContext"]["authorizer"]
    return answer_of(stack.functions["api"](request, LambdaContext()))


def test_the_document_is_served_to_anyone(stack: Stack) -> None:
    """GET /v1/openapi.json is what `millrace openapi` prints; its route asks for no token."""
    answer = unauthorized(stack, "/v1/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body == document()
    events = template()["Resources"]["ApiFunction"]["Properties"]["Events"].values()
    routes = {event["Properties"]["Path"]: event["Properties"].get("Auth") for event in events}
    assert routes["/v1/openapi.json"] == routes["/docs"] == {"Authorizer": "NONE"}


# Powertools reads the script and the style without closing their files.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_page_needs_no_other_host(stack: Stack) -> None:
    """Swagger UI's script and style are in the page itself, the document and its examples too."""
    answer = unauthorized(stack, "/docs")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")
    page = answer.body
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page.partition("<script>")[0])
    assert not re.search(r"<script[^>]+src=", page)
    assert '"Late orders every morning"' in page


@pytest.mark.parametrize(
    ("operation", "name"), SHOWN, ids=[f"{' '.join(operation)} {name}" for operation, name in SHOWN]
)
def test_every_example_is_accepted(
    stack: Stack, alice: Client, operation: tuple[str, str], name: str
) -> None:
    """Sent as it stands, at the place where the document shows it."""
    method, path = operation
    place = path.format(**ids_of(stack, alice)) if "{" in path else path
    is_change = method != "POST" and ("GET", path) in documented()
    headers: dict[str, Any] = alice("GET", place).etag if is_change else {}
    answer = alice(method, place, EXAMPLES[operation][name], headers=headers)
    assert answer.status in {200, 201, 202}, answer

"""Generated requests to every documented route: no 5xx, and no answer that is not documented."""

from typing import Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, reject, settings, strategies
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import InvalidSchema
from schemathesis.specs.openapi import checks
from tests.functional.conftest import Stack
from tests.functional.test_api_errors import ids_of
from tests.support.app import Client
from tests.support.wsgi import WsgiApi

from millrace.http.openapi import document

REQUESTS: Final = 12
"""For each route, way of generating and kind of id: some 4,000 in all."""

CHECKS: Final = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
ROUTES: Final = [
    (method, path) for path, operations in document()["paths"].items() for method in operations
]


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[" ".join(route) for route in ROUTES])
def test_generated_requests_are_answered_as_documented(
    stack: Stack, alice: Client, method: str, path: str
) -> None:
    """Bodies and parameters that fit the document and such that do not, with real ids and others.

    The same requests each time, so that a failure can be seen again.
    """
    schema = schemathesis.openapi.from_dict(document())
    token = alice("GET", "/v1/tokenInfo").body
    caller = {name: token[name] for name in ("workspaceId", "tokenId", "role")}
    schema.app = WsgiApi(stack.functions["api"], caller)
    operation = schema[path][method]
    everything = operation.as_strategy(GenerationMode.POSITIVE)
    everything |= operation.as_strategy(GenerationMode.NEGATIVE)
    if "{" in path:
        ids = ids_of(stack, alice)
        found = operation.as_strategy(path_parameters=ids, headers={"If-Match": '"1"'})
        everything |= found

    @settings(
        max_examples=REQUESTS,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=strategies.data())
    def conforms(data: strategies.DataObject) -> None:
        try:
            case = data.draw(everything)
        except InvalidSchema:
            # It turned a schema of ours into one that nothing fits, to make a body that does not.
            reject()
        case.validate_response(case.call(), checks=CHECKS)

    conforms()

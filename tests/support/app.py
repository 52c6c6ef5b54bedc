"""The functions as Lambda has them: built from functions/*/app.py, called with events."""

import importlib.util
import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from tests.support.aws import ROOT

from millrace.http.openapi import document

type Event = dict[str, Any]
type Handler = Callable[[Event, object], dict[str, Any]]
type FunctionName = Literal[
    "api", "authorizer", "ingress", "lifecycle", "notify", "run_step", "trigger"
]

FUNCTIONS: Final[tuple[FunctionName, ...]] = (
    "api",
    "authorizer",
    "ingress",
    "lifecycle",
    "notify",
    "run_step",
    "trigger",
)
AMPLE_MILLISECONDS: Final = 900_000


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What Lambda tells a handler about its invocation."""

    milliseconds_left: int = AMPLE_MILLISECONDS

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda ends the invocation."""
        return self.milliseconds_left


def load_handler(name: FunctionName) -> Handler:
    """A function's handler, built anew under the present environment."""
    path = ROOT / "functions" / name / "app.py"
    spec = importlib.util.spec_from_file_location(f"{name}_app", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Handler = module.handler
    return handler


def event(name: str) -> Event:
    """A sample event from events/."""
    found: Event = json.loads((Path(ROOT) / "events" / f"{name}.json").read_text())
    return found


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets."""

    status: int
    headers: dict[str, str]
    body: Any
    """Decoded, if it is JSON."""

    @property
    def etag(self) -> dict[str, str]:
        """The header that a change of what was answered needs."""
        return {"If-Match": self.headers["etag"]}

    @property
    def errors(self) -> set[tuple[str, str]]:
        """Code and place of everything that a problem names."""
        return {(error["code"], error["pointer"]) for error in self.body["errors"]}


def http_event(
    sample: str,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> Event:
    """A request as an HTTP API hands it over: the sample's, with these parts in their places."""
    made = deepcopy(event(sample))
    made["rawPath"] = made["requestContext"]["http"]["path"] = path
    made["requestContext"]["http"]["method"] = method
    made["headers"] = {name.lower(): value for name, value in (headers or {}).items()}
    made["rawQueryString"] = urlencode(query or {}, quote_via=quote)
    made.pop("body", None)
    if query:
        made["queryStringParameters"] = dict(query)
    if body is not None:
        # API Gateway passes on what is not text, such as forms, as base64.
        content_type = made["headers"].get("content-type", "")
        is_text = re.match(r"text/|application/(json|xml|javascript)", content_type) is not None
        made["isBase64Encoded"] = not is_text
        made["body"] = body.decode("utf-8", "replace") if is_text else b64encode(body).decode()
    return made


def answer_of(told: Mapping[str, Any]) -> Answer:
    """What a client makes of a handler's answer."""
    headers = {name.lower(): value for name, value in told.get("headers", {}).items()}
    body = told.get("body") or None
    if body is not None and "json" in headers.get("content-type", ""):
        body = json.loads(body)
    return Answer(told["statusCode"], headers, body)


@cache
def documented() -> dict[tuple[str, str], set[int]]:
    """The statuses that the OpenAPI document promises, by method and path template."""
    return {
        (method.upper(), path): {int(status) for status in operation["responses"]}
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    }


def template_of(method: str, path: str) -> tuple[str, str] | None:
    """The documented operation that a request calls, if there is one."""
    for operation in sorted(documented(), key=lambda operation: operation[1].count("{")):
        pattern = re.sub(r"\{\w+\}", "[^/]+", operation[1])
        if operation[0] == method and re.fullmatch(pattern, path):
            return operation
    return None


@dataclass(frozen=True, slots=True)
class Client:
    """Calls the API with a bearer token, through the authorizer, as API Gateway does."""

    api: Handler
    authorizer: Handler
    token: str

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a request; a body that is not bytes is sent as JSON.

        Fails if the answer's status is not among those that the OpenAPI document names.
        """
        given = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            given.setdefault("Content-Type", "application/json")
        request = http_event("api", method, path, body, given, query)
        allowed = self.authorizer(http_event("authorizer", method, path, headers=given), None)
        if not allowed["isAuthorized"]:
            return Answer(403, {}, {"message": "Forbidden"})
        request["requestContext"]["authorizer"] = {"lambda": allowed["context"]}
        answer = answer_of(self.api(request, LambdaContext()))
        operation = template_of(method, path)
        assert operation is None or answer.status in documented()[operation], (operation, answer)
        return answer

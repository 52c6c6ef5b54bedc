"""The API as a WSGI application, for tools that speak HTTP: no socket is opened."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tests.support.app import Handler, LambdaContext, http_event

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass(frozen=True, slots=True)
class WsgiApi:
    """Hands each request to the handler as API Gateway does, past its authorizer."""

    api: Handler
    caller: Mapping[str, Any]

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """The answer to one request."""
        request = http_event(
            "api",
            environ["REQUEST_METHOD"],
            # PEP 3333: the bytes of the path, each as a character.
            environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or None,
            _headers(environ),
            _query(environ.get("QUERY_STRING", "")),
        )
        request["requestContext"]["authorizer"] = {"lambda": dict(self.caller)}
        answer = self.api(request, LambdaContext())
        status = HTTPStatus(answer["statusCode"])
        headers = {name: str(value) for name, value in answer.get("headers", {}).items()}
        start_response(f"{status.value} {status.phrase}", list(headers.items()))
        return [(answer.get("body") or "").encode()]


def _headers(environ: "WSGIEnvironment") -> dict[str, str]:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-"): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return headers


def _query(text: str) -> dict[str, str]:
    """API Gateway joins the values of a name that comes more than once."""
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in query.items()}

"""The API as Python calls, for the command line and for scripts.

Answers are the decoded JSON of the wire: the OpenAPI document describes them, and a newer API may
add fields without breaking an older command line.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from millrace_cli.errors import CliError

type Json = Any
type JsonObject = dict[str, Any]

_NOT_LET_IN = {401, 403}  # an API Gateway authorizer that denies answers 403
_TIMEOUT = urllib3.Timeout(connect=5, read=60)


class ApiError(CliError):
    """The API refused a request; holds its problem+json (RFC 9457)."""

    def __init__(self, status: int, problem: JsonObject) -> None:
        title = str(problem.get("detail") or problem.get("title"))
        self.status = status
        self.problem = problem
        self.errors: list[JsonObject] = problem.get("errors") or []
        super().__init__(title, *map(_error_line, self.errors))

    @property
    def code(self) -> str:
        """The stable code, such as `notFound`."""
        return str(self.problem.get("code", ""))


class ApiClient:
    """One workspace of one API, entered by its bearer token."""

    def __init__(self, url: str, token: str, http: urllib3.PoolManager | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._http = http or urllib3.PoolManager(retries=False, timeout=_TIMEOUT)

    def apply(self, document: Json) -> JsonObject:
        """Bring the workspace in line with a file; public addresses are given as a whole."""
        answer = self._object("POST", "/v1/apply", document)
        for flow in answer["flows"]:
            for address in (*flow["webhooks"], *flow["callbacks"]):
                address["url"] = self._url + address["path"]
        return answer

    def flows(self, stable_key: str | None = None) -> Iterator[JsonObject]:
        """All flows, or the one with this stable key."""
        return self._list("/v1/flows", {"filter[stableKey]": stable_key} if stable_key else {})

    def flow(self, flow_id: str) -> JsonObject:
        """One flow's settings."""
        return self._object("GET", f"/v1/flows/{_segment(flow_id)}")

    def version(self, flow_id: str, version_id: str) -> JsonObject:
        """One version of a flow, its `steps` included."""
        return self._object("GET", f"/v1/flows/{_segment(flow_id)}/versions/{_segment(version_id)}")

    def start_run(self, flow_id: str, payload: Json = None) -> JsonObject:
        """Queue a run: `{runId, status}`."""
        body = {} if payload is None else {"payload": payload}
        return self._object("POST", f"/v1/flows/{_segment(flow_id)}/run", body)

    def export_flow(self, flow_id: str) -> JsonObject:
        """A flow and all it uses as a document, without credentials."""
        return self._object("POST", "/v1/flows/export", {"flowId": flow_id})

    def import_flow(self, document: Json) -> JsonObject:
        """What became of a document: `{resources, needsConfiguring}`."""
        return self._object("POST", "/v1/flows/import", document)

    def test(self, flow_id: str, asked: JsonObject, step_id: str | None = None) -> JsonObject:
        """The result of a test of a flow's draft, or of one of its steps."""
        step = "" if step_id is None else f"/steps/{_segment(step_id)}"
        return self._object("POST", f"/v1/flows/{_segment(flow_id)}{step}/test", asked)

    def runs(
        self, flow_id: str | None = None, filters: Mapping[str, str] | None = None
    ) -> Iterator[JsonObject]:
        """The runs of a flow, or of the workspace, newest first; filters by name: `status`."""
        path = "/v1/runs" if flow_id is None else f"/v1/flows/{_segment(flow_id)}/runs"
        return self._list(
            path, {f"filter[{name}]": value for name, value in (filters or {}).items()}
        )

    def run(self, run_id: str) -> JsonObject:
        """One run with the `steps` of its latest attempt."""
        return self._object("GET", f"/v1/runs/{_segment(run_id)}")

    def errors(
        self, flow_id: str, step_id: str | None = None, *, resolved: bool = False
    ) -> Iterator[JsonObject]:
        """A flow's record errors, those of the newest runs of each step first."""
        query = {} if step_id is None else {"filter[stepId]": step_id}
        place = "resolved" if resolved else "errors"
        return self._list(f"/v1/flows/{_segment(flow_id)}/{place}", query)

    def retry_errors(self, flow_id: str, step_id: str | None = None) -> JsonObject:
        """Try up to 1,000 open errors again: `{runs, leftOut, unknown, hasMore}`."""
        path = f"/v1/flows/{_segment(flow_id)}/errors/retry"
        return self._object("POST", path, _all_errors(step_id))

    def resolve_errors(self, flow_id: str, step_id: str | None = None) -> JsonObject:
        """Resolve up to 1,000 open errors: `{changed, unknown, hasMore}`."""
        path = f"/v1/flows/{_segment(flow_id)}/errors/resolve"
        return self._object("PUT", path, _all_errors(step_id))

    def step_output(self, run_id: str, step_id: str, limit: int = 100) -> JsonObject:
        """The first records, 1,000 at most, that a step handed on: `{data, truncated}`."""
        path = f"/v1/runs/{_segment(run_id)}/steps/{_segment(step_id)}/output"
        return self._object("GET", f"{path}?{urlencode({'limit': limit})}")

    def _list(self, path: str, query: Mapping[str, str]) -> Iterator[JsonObject]:
        following: str | None = path + (f"?{urlencode(query)}" if query else "")
        while following:
            page = self._object("GET", following)
            yield from page.get("data", [])
            following = (page.get("links") or {}).get("next")

    def _object(self, method: str, path: str, body: Json = None) -> JsonObject:
        url = path if "://" in path else self._url + path
        if urlsplit(url)[:2] != urlsplit(self._url)[:2]:
            raise CliError(f"the API at {self._url} points to another host; not followed")
        try:
            answer = self._http.request(
                method,
                url,
                headers=self._headers
                | ({} if body is None else {"Content-Type": "application/json"}),
                body=None if body is None else json.dumps(body, ensure_ascii=False).encode(),
            )
        except urllib3.exceptions.NewConnectionError:
            raise CliError(
                f"nothing answers at {self._url}: start the local API with `make run`, "
                "or check MILLRACE_URL"
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise CliError(
                f"no answer from {self._url} ({type(error).__name__}); try again"
            ) from None
        content = _decode(answer.data)
        if answer.status >= 400:  # noqa: PLR2004 - where HTTP errors begin
            raise self._refusal(answer.status, content)
        if content is None:
            raise CliError(f"{self._url} answered something else than JSON; check MILLRACE_URL")
        return content

    def _refusal(self, status: int, content: JsonObject | None) -> CliError:
        if status in _NOT_LET_IN and (content or {}).get("code") != "forbidden":
            return CliError(
                f"{self._url} does not accept the token: check MILLRACE_TOKEN, "
                "or get a new local one with `make run`"
            )
        if content is None or "code" not in content:  # a gateway or another server spoke
            return CliError(f"{self._url} answered with status {status}; check MILLRACE_URL")
        return ApiError(status, content)


def _decode(body: bytes) -> JsonObject | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _all_errors(step_id: str | None) -> JsonObject:
    return {"filter": {} if step_id is None else {"stepId": [step_id]}}


def _segment(text: str) -> str:
    return quote(text, safe="")


def _error_line(error: JsonObject) -> str:
    remedy = f" ({error['remedy']})" if error.get("remedy") else ""
    return f"  {error.get('pointer') or '/'}: {error.get('message')}{remedy}"

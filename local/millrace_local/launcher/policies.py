"""Policies: TLS on loopback, groups of schedules, and functions of event source mappings.

Where MiniStack knows no resource of a request, as of a task token, the action alone is compared.
"""

import json
from functools import lru_cache
from typing import Any, Final

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import lambda_svc

from millrace_local.launcher.patching import replace, rewrite

_UNKNOWN: Final = "*"
_FUNCTION: Final = "lambda:functionarn"  # as the evaluator spells it, whatever the policy does


def pin_request_origin(source_ip: str, _secure_transport: bool) -> None:  # noqa: FBT001 - MiniStack's
    """Remember where a request comes from.

    Buckets and queues of the template refuse plain HTTP. MiniStack speaks nothing else, and on
    loopback only, where nobody listens in.
    """
    iam_evaluator._request_origin.set((source_ip, True))


_resource_matches = iam_evaluator._resource_matches


def resource_matches(resource_arn: str, resources: list[str], not_resources: list[str]) -> bool:
    """Whether a statement is about the resource of a request."""
    if resource_arn == _UNKNOWN:
        return True
    matches: bool = _resource_matches(resource_arn, resources, not_resources)
    return matches


_parse_policy = iam_evaluator.parse_policy_document
_parse_text = lru_cache(maxsize=256)(_parse_policy)


def parse_policy_document(doc: str | dict[str, Any]) -> list[Any]:
    """Return the statements of a policy; MiniStack reads those of a role twice for each request."""
    statements: list[Any] = _parse_text(doc) if isinstance(doc, str) else _parse_policy(doc)
    return statements


def schedule_group(body: bytes, query: dict[str, Any]) -> str:
    """Return the group of a schedule, which a request names in its body or its query."""
    named = json.loads(body).get("GroupName") if body else None
    return named or iam_actions._query_param(query, "groupName") or "default"


def with_function(
    tag_context: Any,  # noqa: ANN401 - MiniStack's function
) -> Any:  # noqa: ANN401 - the same
    """Let a condition ask which function a new event source mapping is for."""

    def request_context(service: str, action: str, body: bytes, params: dict[str, Any]) -> Any:  # noqa: ANN401 - the same
        found = tag_context(service, action, body, params)
        if action == "lambda:CreateEventSourceMapping":
            named = json.loads(body)["FunctionName"]
            arn = named if named.startswith("arn:") else lambda_svc._func_arn(named)
            found = {**found, _FUNCTION: arn}
        return found

    return request_context


def with_mapping(
    resolve: Any,  # noqa: ANN401 - MiniStack's function
) -> Any:  # noqa: ANN401 - the same
    """Let a condition ask which function an event source mapping is of that is there."""

    def resolved(key: str, context: Any) -> Any:  # noqa: ANN401 - the same
        mapping = lambda_svc._esms.get(context.resource_arn.rpartition(":")[2])
        if key.lower() == _FUNCTION and mapping is not None:
            return mapping["FunctionArn"]
        return resolve(key, context)

    return resolved


def cure() -> None:
    """Have policies see what they ask for."""
    replace(
        iam_evaluator,
        "pin_request_origin",
        pin_request_origin,
        digest="de819c1bd9ac",
        importers=(app,),
    )
    replace(iam_evaluator, "_resource_matches", resource_matches, digest="b7886876ab63")
    replace(iam_evaluator, "parse_policy_document", parse_policy_document, digest="622a4f98a3ec")
    rewrite(
        iam_actions,
        "extract_resource_arn",
        {"schedule/default/": "schedule/{_schedule_group(body, query_params)}/"},
        digest="82f51700695c",
        helpers={"_schedule_group": schedule_group},
    )
    replace(
        iam_actions,
        "request_tag_context",
        with_function(iam_actions.request_tag_context),
        digest="d46adb816e02",
    )
    replace(
        iam_evaluator,
        "_resolve_condition_key",
        with_mapping(iam_evaluator._resolve_condition_key),
        digest="15e26964cd38",
    )

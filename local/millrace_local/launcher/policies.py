"""Policies: TLS on loopback, groups of schedules, and functions of event source mappings."""

import json
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import lambda_svc

from millrace_local.launcher.patching import replace, rewrite

_FUNCTION = "lambda:functionarn"  # as the evaluator spells it, whatever the policy does


def pin_request_origin(source_ip: str, _secure_transport: bool) -> None:  # noqa: FBT001 - MiniStack's
    """Remember where a request comes from.

    Buckets and queues of the template refuse plain HTTP. MiniStack speaks nothing else, and on
    loopback only, where nobody listens in.
    """
    iam_evaluator._request_origin.set((source_ip, True))


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

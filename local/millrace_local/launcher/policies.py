"""Policies: what MiniStack cannot know of a request is taken for granted, and loopback for TLS.

It knows the resources of DynamoDB, S3, SSM and some others. Of the rest it knows the action alone,
which a role has to allow all the same.
"""

from typing import Any, Final

from ministack import app
from ministack.core import iam_evaluator

from millrace_local.launcher.patching import replace

_UNKNOWN: Final = "*"
_ANY_SCHEDULE: Final = ":schedule/default/"
"""So MiniStack names each schedule, whatever its group."""
_KEYS_UNKNOWN: Final = ("lambda:functionarn",)
"""Of requests; by lower case."""

_resource_matches = iam_evaluator._resource_matches
_conditions_met = iam_evaluator._conditions_met


def pin_request_origin(source_ip: str, _secure_transport: bool) -> None:  # noqa: FBT001 - MiniStack's
    """Remember where a request comes from.

    Buckets and queues of the template refuse plain HTTP. MiniStack speaks nothing else, and on
    loopback only, where nobody listens in.
    """
    iam_evaluator._request_origin.set((source_ip, True))


def resource_matches(resource_arn: str, resources: list[str], not_resources: list[str]) -> bool:
    """Whether a statement is about the resource of a request."""
    if resource_arn == _UNKNOWN or _ANY_SCHEDULE in resource_arn:
        return True
    matches: bool = _resource_matches(resource_arn, resources, not_resources)
    return matches


def conditions_met(conditions: dict[str, Any], context: Any) -> bool:  # noqa: ANN401 - MiniStack's
    """Whether a request meets the conditions of a statement that can be told."""
    known = {
        operator: {key: value for key, value in of.items() if key.lower() not in _KEYS_UNKNOWN}
        for operator, of in (conditions or {}).items()
    }
    met: bool = _conditions_met(known, context)
    return met


def cure() -> None:
    """Have policies judge what can be told of a request, and see TLS."""
    replace(
        iam_evaluator,
        "pin_request_origin",
        pin_request_origin,
        digest="de819c1bd9ac",
        importers=(app,),
    )
    replace(iam_evaluator, "_resource_matches", resource_matches, digest="b7886876ab63")
    replace(iam_evaluator, "_conditions_met", conditions_met, digest="15b4c24a03e3")

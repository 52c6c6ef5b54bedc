"""Policies: what comes over loopback counts as TLS."""

from ministack import app
from ministack.core import iam_evaluator

from millrace_local.launcher.patching import replace


def pin_request_origin(source_ip: str, _secure_transport: bool) -> None:  # noqa: FBT001 - MiniStack's
    """Remember where a request comes from.

    Buckets and queues of the template refuse plain HTTP. MiniStack speaks nothing else, and on
    loopback only, where nobody listens in.
    """
    iam_evaluator._request_origin.set((source_ip, True))


def cure() -> None:
    """Have every policy see TLS."""
    replace(
        iam_evaluator,
        "pin_request_origin",
        pin_request_origin,
        digest="de819c1bd9ac",
        importers=(app,),
    )

"""The Lambda authorizer: a bearer token to a workspace."""

from collections.abc import Mapping
from typing import Any

from millrace.domain.errors import UnauthenticatedError
from millrace.usecases.context import Context
from millrace.usecases.tokens import authenticate


class Authorizer:
    """Answers an HTTP API's REQUEST authorizer, payload format 2.0, simple responses."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, event: Mapping[str, Any], _: object) -> dict[str, Any]:
        """Whether the request may pass, and who makes it."""
        headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return {"isAuthorized": False}
        try:
            caller = authenticate(self._context, token.strip())
        except UnauthenticatedError:
            return {"isAuthorized": False}
        return {"isAuthorized": True, "context": caller.to_json()}

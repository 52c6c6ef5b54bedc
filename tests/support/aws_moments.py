"""What may happen while AWS is asked: it cannot be reached, it refuses, or somebody else acts.

At the boundary that all clients share, so that it holds for functions that are at work already.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.endpoint import Endpoint
from botocore.exceptions import ConnectTimeoutError
from botocore.model import OperationModel


@contextmanager
def unreachable(service: str) -> Iterator[None]:
    """A time at which a service, by botocore's name, takes no requests."""
    send = Endpoint.make_request

    def refuse(endpoint: Endpoint, model: OperationModel, request: dict[str, Any]) -> Any:  # noqa: ANN401 - handed on
        if model.service_model.service_name == service:
            raise ConnectTimeoutError(endpoint_url=service)
        return send(endpoint, model, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Endpoint, "make_request", refuse)
        yield


@contextmanager
def refused(operation: str, code: str) -> Iterator[None]:
    """A time at which such a request is refused with AWS's code, which moto does not know of."""
    send = Endpoint.make_request
    told = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}

    def refuse(endpoint: Endpoint, model: OperationModel, request: dict[str, Any]) -> Any:  # noqa: ANN401 - handed on
        if model.name == operation:
            return SimpleNamespace(status_code=400), told
        return send(endpoint, model, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Endpoint, "make_request", refuse)
        yield


@contextmanager
def once_after(operation: str, act: Callable[[], object]) -> Iterator[None]:
    """Somebody else acts when the first such request was answered, before that is heard of."""
    send, pending = Endpoint.make_request, [act]

    def interrupt(endpoint: Endpoint, model: OperationModel, request: dict[str, Any]) -> Any:  # noqa: ANN401 - handed on
        answer = send(endpoint, model, request)
        if pending and model.name == operation:
            pending.pop()()
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Endpoint, "make_request", interrupt)
        yield
    assert not pending

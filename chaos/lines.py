"""A bad line to AWS: where requests leave botocore they arrive, or not, or their answer does not.

What botocore tries again by itself is tried again: that of a write whose answer was lost finds the
write there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from chaos.faults import Fault, Faults
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber

type Send = Callable[[], AWSResponse | None]

_ANY: Final = (Fault.REFUSED, "reset before", Fault.KILLED_BEFORE, Fault.MEANWHILE, Fault.FROZEN)
_OF_WRITES: Final = (Fault.LOST, "500 after", Fault.KILLED_AFTER)


class Service(Protocol):
    """What is said at the end of the line, and what goes wrong there and nowhere else."""

    name: str
    reads: frozenset[str]
    """The operations that change nothing."""

    throttled: tuple[int, str]
    """The status and body of a refusal of the moment."""

    broken: tuple[int, str]
    """Those of an answer that does not say what was done."""

    def kinds(self, operation: str) -> tuple[str, ...]:
        """What else may become of an operation."""

    def met(self, kind: str, request: AWSPreparedRequest, send: Send) -> AWSResponse | None:
        """What comes back when that happens."""


def kinds_of(service: Service, operation: str) -> tuple[str, ...]:
    """Whatever may become of an operation."""
    of_writes = () if operation in service.reads else _OF_WRITES
    return (*_ANY, *of_writes, *service.kinds(operation))


def answer(request: AWSPreparedRequest, status: int, body: str) -> AWSResponse:
    """An answer that does not come from moto."""
    raw: Any = MockRawResponse(body)
    return AWSResponse(request.url, status, HTTPHeaders(), raw)


@dataclass(frozen=True)
class BadLine:
    """Carries requests to moto, or does not; a handler of botocore's `before-send`."""

    faults: Faults
    service: Service

    def __call__(
        self, request: AWSPreparedRequest, event_name: str, **_: object
    ) -> AWSResponse | None:
        """What comes back. Raises as the network does."""
        operation = event_name.rpartition(".")[2]
        place = f"{self.service.name} {operation}"
        kind = self.faults.draw(place, kinds_of(self.service, operation))

        def send() -> AWSResponse | None:
            return botocore_stubber(event_name, request)

        match kind:
            case Fault.REFUSED:
                return answer(request, *self.service.throttled)
            case "reset before":
                raise ConnectionClosedError(endpoint_url=request.url)
            case Fault.KILLED_BEFORE:
                raise self.faults.kill()
            case Fault.MEANWHILE | Fault.FROZEN:
                self.faults.wait(give_up=kind is Fault.FROZEN)
        if kind in self.service.kinds(operation):
            return self.service.met(kind, request, send)
        came = send()
        match kind:
            case Fault.LOST:
                raise ReadTimeoutError(endpoint_url=request.url)
            case "500 after":
                return answer(request, *self.service.broken)
            case Fault.KILLED_AFTER:
                raise self.faults.kill()
        return came

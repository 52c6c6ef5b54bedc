"""Requests as spans of their run's trace: each has a span of its own, which the receiver is told.

What an action or a connection says of the trace itself is sent as it stands there.
"""

import logging
import time
from dataclasses import dataclass, replace

from millrace.connectors.http_messages import HttpRequest, HttpResponse, Transport, TransportError
from millrace.domain.trace_context import TRACEPARENT, TRACESTATE, Trace

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TracedTransport:
    """A transport whose requests carry a trace."""

    transport: Transport
    trace: Trace

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport."""
        span = self.trace.child()
        given = {name.lower() for name in request.headers}
        if not given & {TRACEPARENT, TRACESTATE}:
            request = replace(request, headers={**request.headers, **span.headers})
        start = time.perf_counter()
        outcome: int | str = "crashed"
        try:
            response = self.transport.exchange(request)
            outcome = response.status
        except TransportError as error:
            outcome = error.code
            raise
        finally:
            told = {
                "method": request.method,
                "host": request.host,
                "outcome": outcome,
                "milliseconds": round(1000 * (time.perf_counter() - start)),
                "spanId": span.span_id,
            }
            logger.debug("request", extra=told)
        return response

"""What the functions tell of themselves: JSON lines and metrics, with no content of records.

The loggers of all our modules are children of the one here, so their lines are JSON too and carry
what the function works on. Metrics are lines in CloudWatch's Embedded Metric Format.
"""

import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.domain.run import Run, RunKey

NAMESPACE: Final = "Millrace"
_STACK: Final = "POWERTOOLS_SERVICE_NAME"

# Named like the package, so that it is the parent of the loggers of all its modules.
logger = Logger(service="millrace")

# In detail it writes all that a route is given, secrets included.
logging.getLogger("aws_lambda_powertools.event_handler").setLevel(logging.INFO)


class Metric(StrEnum):
    """Everything that is measured."""

    RUNS_STARTED = "RunsStarted"
    RUNS_ENDED = "RunsEnded"
    RUN_DURATION = "RunDuration"
    RETRIES_PLANNED = "RetriesPlanned"
    STEP_DURATION = "StepDuration"
    STEP_ERRORS = "StepErrors"
    RECORDS_IN = "RecordsIn"
    RECORDS_OUT = "RecordsOut"
    RECORDS_FAILED = "RecordsFailed"
    THROTTLES = "Throttles"
    WEBHOOK_ACCEPTED = "WebhookAccepted"
    WEBHOOK_DUPLICATES = "WebhookDuplicates"
    WEBHOOK_REFUSED = "WebhookRefused"

    @property
    def unit(self) -> str:
        """In CloudWatch's words."""
        return "Milliseconds" if self.value.endswith("Duration") else "Count"


def measure(
    values: Mapping[Metric, float],
    properties: Mapping[str, str],
    *,
    status: str | None = None,
    at: datetime | None = None,
) -> None:
    """Write values, by stack and status where there is one; of the time `at`, or of now.

    Properties, such as ids, stand in the line for Logs Insights and make no metric of their own:
    each combination of dimensions is paid for.
    """
    emf = AmazonCloudWatchEMFProvider(
        namespace=NAMESPACE, service=os.environ.get(_STACK, "millrace")
    )
    for metric, value in values.items():
        emf.add_metric(metric.value, metric.unit, value)
    if at is not None:
        emf.set_timestamp(at)
    if status is not None:
        emf.add_dimension("status", status)
    for name, text in properties.items():
        emf.add_metadata(name, text)
    emf.flush_metrics()


def on_run(run: Run, now: datetime) -> None:
    """Have the lines from here on name the run; in detail, as long as its flow says so."""
    on_key(run.key, flowId=run.flow_id, correlation_id=run.trace_id)
    if run.debug_until is not None and now < run.debug_until:
        logger.setLevel("DEBUG")


def on_key(key: RunKey, **others: str | int | None) -> None:
    """Have the lines from here on name a run of which no more is known yet."""
    logger.append_keys(workspaceId=key.workspace_id, runId=key.run_id, **others)


class Observed:
    """A function's handler, whose lines say which function it is and which request is answered."""

    def __init__(
        self,
        function: str,
        handler: Callable[[dict[str, Any], LambdaContext], dict[str, Any]],
    ) -> None:
        self._function = function
        self._handler = handler

    def __call__(self, event: dict[str, Any], lambda_context: LambdaContext) -> dict[str, Any]:
        """What the handler answers."""
        logger.clear_state()
        logger.setLevel(logger.initial_log_level)
        request = event.get("requestContext") or {}
        caller = (request.get("authorizer") or {}).get("lambda") or {}
        logger.append_keys(
            service=self._function,
            requestId=request.get("requestId"),
            functionRequestId=getattr(lambda_context, "aws_request_id", None),
            workspaceId=caller.get("workspaceId"),
        )
        return self._handler(event, lambda_context)

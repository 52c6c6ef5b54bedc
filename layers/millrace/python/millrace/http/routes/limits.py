"""/v1/limits."""

from http import HTTPStatus
from typing import Annotated, Final

from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import Field

from millrace import limits
from millrace.domain.base import Model
from millrace.http.documented import answers
from millrace.http.queries import LimitsQuery
from millrace.http.requests import caller_of
from millrace.http.roles import needs
from millrace.usecases.context import Context
from millrace.usecases.lane_views import LaneView, lanes_of

_SHOWN: Final[dict[str, float]] = {
    "stepsPerVersion": limits.STEPS_PER_VERSION,
    "nameCharacters": limits.NAME_LENGTH,
    "expressionCharacters": limits.EXPRESSION_LENGTH,
    "requestBytes": limits.REQUEST_BYTES,
    "requestLevels": limits.REQUEST_LEVELS,
    "webhookBytes": limits.WEBHOOK_BYTES,
    "pageRecords": limits.PAGE_RECORDS,
    "pageItems": limits.PAGE_ITEMS_MAX,
    "pagedItems": limits.PAGED_ITEMS,
    "sortedItems": limits.SORTED_ITEMS,
    "filteredItems": limits.WALKED_ITEMS,
    "answerBytes": limits.ANSWER_BYTES,
    "secretsBytes": limits.SECRETS_BYTES,
    "groupsPerIntegration": limits.GROUPS_PER_INTEGRATION,
    "targetsPerNotificationGroup": limits.TARGETS_PER_GROUP,
    "replacedConnections": limits.REPLACED_CONNECTIONS,
    "replacedVariables": limits.REPLACED_VARIABLES,
    "variablesOfAnAction": limits.VARIABLES_OF_AN_ACTION,
    "runVariables": limits.RUN_VARIABLES,
    "runInputBytes": limits.RUN_INPUT_BYTES,
    "dataPoolTtlSeconds": limits.DATA_POOL_TTL_SECONDS_MAX,
    "flowRetryAttempts": limits.FLOW_RETRY_ATTEMPTS,
    "flowRetryDelayMinutes": limits.FLOW_RETRY_DELAY_MINUTES,
    "operationsOfAProcess": limits.OPERATIONS,
    "schemaBytes": limits.SCHEMA_BYTES,
    "splitObjects": limits.SPLIT_OBJECTS,
    "heldRecords": limits.HELD_RECORDS,
    "heldBytes": limits.HELD_BYTES,
    "groupBytes": limits.GROUP_BYTES,
    "aggregateGroups": limits.AGGREGATE_GROUPS,
    "dedupeKeys": limits.DEDUPE_KEYS,
    "poolValueBytes": limits.POOL_VALUE_BYTES,
    "functionRecords": limits.PAGE_RECORDS,
    "functionRequestBytes": limits.FUNCTION_REQUEST_BYTES,
    "functionSeconds": limits.FUNCTION_SECONDS,
    "outboundSeconds": limits.OUTBOUND_TIMEOUT_SECONDS,
    "outboundAnswerBytes": limits.OUTBOUND_BODY_BYTES,
    "outboundStreamSeconds": limits.OUTBOUND_STREAM_SECONDS,
    "outboundStreamBytes": limits.OUTBOUND_STREAM_BYTES,
    "recordBytes": limits.RECORD_BYTES,
    "retryAfterSeconds": limits.RETRY_AFTER_SECONDS_MAX,
    "deliveryMemoryDays": limits.DELIVERY_MEMORY_DAYS,
    "deliveryIdSeconds": limits.DELIVERY_SECONDS_MAX,
    "deliveryIdCharacters": limits.DELIVERY_ID_LENGTH,
    "signatureSeconds": limits.SIGNATURE_SECONDS,
    "tracestateCharacters": limits.TRACESTATE_LENGTH,
    "formFields": limits.FORM_FIELDS,
    "waitingRuns": limits.QUEUE_DEPTH,
    "waitingHours": limits.QUEUE_WAIT_HOURS,
    "responseHeaders": limits.REPLY_HEADERS,
    "documentResources": limits.DOCUMENT_RESOURCES,
    "templateUrlSeconds": limits.TEMPLATE_URL_SECONDS,
    "templateBytes": limits.TEMPLATE_BYTES,
    "patchOperations": limits.PATCH_OPERATIONS,
    "runWaitSeconds": limits.RUN_WAIT_SECONDS,
    "testSeconds": limits.TEST_SECONDS,
    "testItemsShown": limits.TEST_ITEMS_SHOWN,
    "testResultBytes": limits.TEST_RESULT_BYTES,
    "testResultDays": limits.TEST_RESULT_DAYS,
    "metricIntervals": limits.METRIC_INTERVALS,
    "metricRows": limits.METRIC_ROWS,
    "hourlyMetricsDays": limits.HOURLY_METRICS_DAYS,
    "lastUsedSeconds": limits.LAST_USED_SECONDS,
    "idempotencyKeyCharacters": limits.IDEMPOTENCY_KEY_LENGTH,
    "idempotencyHours": limits.IDEMPOTENCY_HOURS,
    "auditValueBytes": limits.AUDIT_VALUE_BYTES,
}


class Limits(Model):
    """The limits that a caller may meet, by name, each with its unit at the end; and who waits."""

    data: dict[str, int | float]
    lanes: tuple[LaneView, ...] = Field(
        description="Where the runs of a flow are limited and some are at work or wait; "
        f"{limits.LANES_SHOWN} at most."
    )


def limits_router(context: Context) -> APIGatewayHttpRouter:
    """The one route."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/limits", tags=["limits"], security=needs("viewer"), responses=answers(HTTPStatus.OK)
    )
    def get_limits(query: Annotated[LimitsQuery, Query()]) -> Limits:
        caller = caller_of(router.current_event)
        return Limits(data=_SHOWN, lanes=lanes_of(context, caller, query.filter_flow_id))

    return router

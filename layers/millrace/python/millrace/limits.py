"""Every limit of Millrace in one place: docs, validation and tests speak of the same number.

AWS figures are the published service quotas (docs/decisions.md names the pages); our own are
chosen below them so that a user meets our clear error before an obscure one from AWS.
"""

from typing import Final

STEPS_PER_VERSION: Final = 200
NAME_LENGTH: Final = 128
DESCRIPTION_LENGTH: Final = 10_240
STABLE_KEY_LENGTH: Final = 128
EXPRESSION_LENGTH: Final = 16_384
GROUPS_PER_INTEGRATION: Final = 100
SORT_ORDER_MAX: Final = 1_000_000

RECENT_VERSIONS: Final = 10
"""A flow names its newest versions, so that lists include them in one read."""

BATCH_READ_ITEMS: Final = 100
"""DynamoDB: items in one BatchGetItem."""

PAGE_ITEMS_MAX: Final = 100
PAGE_ITEMS: Final = 25

PAGED_ITEMS: Final = 10_000
"""Pages have numbers up to this many items; further on there are cursors."""

SORTED_ITEMS: Final = 2_000
"""A list in an order that no index has is read whole, so it may not be longer."""

WALKED_ITEMS: Final = 1_000
"""A filter looks at so many items for one request, and goes on from there with the next."""

LOOKED_UP: Final = 10
"""Values of a filter each of which takes a read of its own."""

ANSWER_BYTES: Final = 5_000_000
"""An answer with what it includes; a Lambda answers 6 MB at most."""

INCLUDED_VERSIONS: Final = 100
"""Of one flow; a list includes the newest RECENT_VERSIONS of each."""

INCLUDED_RUNS: Final = 100
"""The flow's newest runs, among which those of a version are included."""

SORT_KEY_BYTES: Final = 1_024
"""DynamoDB: a sort key."""

TARGETS_PER_GROUP: Final = 20

REPLACED_CONNECTIONS: Final = 50
REPLACED_DATA_POOLS: Final = 20
"""Of a virtual environment; each names two of them, which are read one by one to be checked."""

REPLACED_VARIABLES: Final = 200

DATA_POOL_TTL_SECONDS: Final = 7_776_000
"""90 days, what users of such stores are used to."""

DATA_POOL_TTL_SECONDS_MAX: Final = 31_536_000

SETTINGS_BYTES: Final = 65_536
"""Free settings of a flow, as JSON: they are part of the flow's item."""

TEST_SECONDS: Final = 25
"""All of a test, so that API Gateway's 30 seconds are never met."""

TEST_ITEMS_SHOWN: Final = 20
"""Of the records that go into a step of a test and come out, of its errors and requests."""

TEST_RESULT_BYTES: Final = 300_000
"""What a test shows of records, errors and requests, as JSON: with the rest it fits one item."""

TEST_BODY_LENGTH: Final = 4_000
"""Characters shown of the body of a request that is not sent."""

TEST_RESULT_DAYS: Final = 30
TEST_PAYLOAD_LENGTH: Final = 65_536
TEST_HEADERS: Final = 50
DELTA_LAG_MINUTES: Final = 10_080
"""A week: what an export of changes may read again."""

CONCURRENCY_MAX: Final = 1_000
STEP_CONCURRENCY_MAX: Final = 50
"""Requests of one step under way: each has a thread in the worker, and an answer in memory."""

QUEUE_DEPTH: Final = 1_000
"""Runs that may wait for a slot of one flow, or of one key of it: they share an item."""

QUEUE_WAIT_HOURS: Final = 24
"""A run that has no slot by then fails."""

SLOT_LEASE_MINUTES: Final = 15
"""A slot is free again so long after the sweeper, which comes each 5 minutes, last saw its run."""

LANE_KEY_LENGTH: Final = 256
"""A longer key is shown as its hash."""

LANES_SHOWN: Final = 100
LANE_RUNS_SHOWN: Final = 20
"""Of each kind, in what is told of the runs that wait."""

ALIASES: Final = 100
REFERENCES_OF_A_FLOW: Final = 50
"""Labels, notification groups or flows to run next."""

SUBFLOW_DEPTH: Final = 10
"""Runs that wait for each other: a step of type Flow in the innermost fails."""

FLOWS_IN_A_ROW: Final = 20
"""How far runNextFlowIds and Flow steps are followed to find a circle."""

API_KEYS_PER_FLOW: Final = 20
MAPPED_FIELDS: Final = 200
MAPPED_LISTS: Final = 20
MAPPING_PLACE_LENGTH: Final = 512

VARIABLES_OF_AN_ACTION: Final = 20
"""Each that an action names takes a read or two when it runs."""

RUN_VARIABLES: Final = 200
RUN_INPUT_BYTES: Final = 65_536
"""The flowVariables of a run as JSON, and as much again its parameters."""

FLOW_RETRY_ATTEMPTS: Final = 10
FLOW_RETRY_DELAY_MINUTES: Final = 60

STEPS_READ: Final = 1_000
"""Of a longer list of steps nothing is looked at but its length."""

ERRORS_SHOWN: Final = 1_000
"""A problem names this many faults and counts the others; a Lambda answer holds 6 MB."""

REQUEST_BYTES: Final = 1_000_000
"""Control-plane request body."""

REQUEST_LEVELS: Final = 100
"""Objects and arrays of a request within one another: pydantic reads back 200 levels, and an entry
of the audit trail has some above what it tells of."""

WEBHOOK_BYTES: Final = 4_000_000
"""Webhook body: a Lambda event holds 6 MB, base64 included."""

ANSWER_BODY_LENGTH: Final = 10_000
"""The configured answer of a webhook."""

REPLY_HEADERS: Final = 50
"""Headers that a flow's answer to a callback may set."""

SECRETS_BYTES: Final = 4_096
"""Parameter Store: one standard parameter, which holds all secrets of a resource as JSON."""

PAGE_RECORDS: Final = 1_000
LOOKUP_RECORDS: Final = 10_000
"""What a lookup finds for one batch."""
PAGE_BYTES: Final = 4_000_000

INLINE_PAYLOAD_BYTES: Final = 16_000
"""A trigger payload up to this size lives in the run's item; a larger one in the bucket."""

OUTPUT_PAGES_LISTED: Final = 100
"""Pages that a step's item lists itself; of so many each that came before, it lists an index."""

INLINE_OUTPUT_BYTES: Final = 16_000
"""A step's output up to this compressed size lives in its item; a larger one in the bucket."""

ITEM_BYTES: Final = 400_000
"""DynamoDB: one item."""

TRANSACTION_ITEMS: Final = 100
"""DynamoDB: actions in one TransactWriteItems."""

RETRY_AFTER_SECONDS_MAX: Final = 86_400
"""A receiver's Retry-After is honoured up to one day."""

WAIT_INSIDE_SECONDS_MAX: Final = 5
"""A wait up to this long happens inside the worker; a longer one in the machine, for nothing."""

WAIT_IN_TESTS_SECONDS: Final = 1
"""The same for tests and pings, for which somebody waits."""

OUTBOUND_TIMEOUT_SECONDS: Final = 30.0
"""One outbound HTTP request, from connect to the last byte."""

OUTBOUND_BODY_BYTES: Final = 20_000_000
"""One outbound HTTP answer."""

OUTBOUND_STREAM_SECONDS: Final = 120.0
OUTBOUND_STREAM_BYTES: Final = 400_000_000
"""One outbound answer that is read record by record, decompressed; a Lambda's disk holds 512 MB."""

RECORD_BYTES: Final = 4_000_000
"""One record that an export reads, or that a map or split makes."""

MESSAGE_BYTES: Final = 1_048_576
"""SQS: one message, its attributes included."""

NESTED_ELEMENTS: Final = 100
"""Depth of XML."""

COLUMNS: Final = 2_000
"""Columns of CSV that may be named, and elements of XML that become arrays."""

EXPORT_PAGES: Final = 1_000_000
"""What `maxPages` may say."""

HEADER_NAME_LENGTH: Final = 128
OAUTH_SCOPES: Final = 50
SIGNED_TEXT_LENGTH: Final = 1_024

REQUESTS_PER_SECOND_MAX: Final = 10_000
CONCURRENT_REQUESTS_MAX: Final = 1_000
"""What a connection's rate limit may say."""

PERMITS_AHEAD_SECONDS: Final = 1
"""A worker takes permits for so long ahead, in one write to the table."""

SEAT_SECONDS: Final = 4
"""A worker keeps a place among those with a request under way this long before it asks again; less
than WAIT_INSIDE_SECONDS_MAX, so that those who wait inside get their turn."""

PING_SECONDS: Final = 10.0
"""All of a ping, so that API Gateway's 30 seconds are never met."""

OUTPUT_PAGE_BYTES: Final = 4_000_000
"""An output page of a step holds at most this much before compression, so memory stays bounded."""

RUN_DAYS: Final = 30
"""How long a run is kept that did not fail; one that failed, as a whole or in part, stays."""

RUN_DETAIL_DAYS: Final = 90
"""How long any run's steps, outputs and large payload are kept; template.yaml says so too."""

RECORD_ERROR_DAYS: Final = 30
"""How long a record error is kept, whatever becomes of it."""

RECORD_ERRORS_OF_A_STEP: Final = 100_000
"""More failures in one run than this mean that the step is wrong, not its records."""

ERRORS_AT_ONCE: Final = 1_000
"""Record errors that one request may resolve, assign, tag or retry."""

INLINE_RECORD_BYTES: Final = 4_000
"""A failed record up to this size lives in its error's item; larger ones are in the bucket."""

TRACE_KEY_LENGTH: Final = 256
TAGS_OF_AN_ERROR: Final = 20

REQUEST_ID_LENGTH: Final = 1_024
REQUEST_MEMORY_DAYS: Final = 30
"""How long the latest run for a unique request id is remembered; retries wait 10 days at most."""

OCCURRENCES: Final = 100
"""Planned instants in one answer."""

SCHEDULE_TRY_SECONDS: Final = 86_400
"""For so long EventBridge Scheduler tries to deliver an occurrence; its longest."""

SCHEDULE_TRIES: Final = 185
"""And so often; its most."""

QUEUE_BATCH: Final = 10
"""Messages of a queue that the trigger function is handed at a time."""

MESSAGE_MEMORY_DAYS: Final = 15
"""How long a message of a queue is remembered; SQS keeps none for more than 14 days."""

DELIVERY_MEMORY_DAYS: Final = 7
"""How long a delivery id is remembered, unless its address says; GitHub redelivers for 3 days."""

DELIVERY_SECONDS_MAX: Final = 2_592_000
DELIVERY_ID_LENGTH: Final = 256
"""A longer delivery id is known by its hash, as is one that cannot be printed."""

TRACESTATE_LENGTH: Final = 512
"""What is kept of a request's `tracestate`: as much as W3C Trace Context asks for."""

SIGNATURE_SECONDS: Final = 300
"""A signature of a time is taken so long before and after it, as its senders' libraries do."""

FORM_FIELDS: Final = 10_000
"""Fields of a form that is sent to an address."""

AUDIT_VALUE_BYTES: Final = 100_000
"""A field's value up to this size is kept in the audit trail, a larger one as its digest."""

PATCH_OPERATIONS: Final = 100
"""Operations of one JSON Patch."""

RUN_WAIT_SECONDS: Final = 25
"""A request waits so long for the end of a run: an HTTP API gives up after 30 s."""

HOURLY_METRICS_DAYS: Final = 400
"""How long runs are counted by the hour: a year, and a month to compare. By the day: for good."""

METRIC_INTERVALS: Final = 1_000
"""Intervals in one answer of metrics."""

METRIC_ROWS: Final = 10_000
"""Intervals times the versions that ran in them; some 4 MB, of the 6 MB that Lambda answers."""

LAST_USED_SECONDS: Final = 300
"""How far the last use of a token may be behind; so often at most it is written."""

IDEMPOTENCY_KEY_LENGTH: Final = 128
IDEMPOTENCY_HOURS: Final = 24
"""How long the answer to a request with an Idempotency-Key is given again."""

REQUEST_LEASE_SECONDS: Final = 60
"""After so long no request is under way any more: the function is ended after half of it."""

DOCUMENT_RESOURCES: Final = 400
"""Of one kind in a flow's document; its 200 steps and 100 aliases name no more."""

TEMPLATE_URL_SECONDS: Final = 3_600
"""How long the address of a flow's template opens it."""

TEMPLATE_FLOWS: Final = 100
"""Of an integration, in one template: each takes some reads, and a request 29 s at most."""

INTEGRATION_TEMPLATE_BYTES: Final = 20_000_000
"""What the zips of an integration's flows take together; they are in memory at once."""

TEMPLATE_BYTES: Final = 4_000_000
"""What the files of a template take when they are unpacked, all together."""

OPERATIONS: Final = 20
"""Of a process."""

SORT_KEYS: Final = 10
SCHEMA_BYTES: Final = 65_536
"""A JSON Schema, as JSON: it is part of an action's item."""

SPLIT_OBJECTS: Final = 10_000
"""What one record may be split into."""

SPLIT_RECORDS: Final = 50
"""So many records are split at once, which bounds what is in memory."""

HELD_RECORDS: Final = 100_000
HELD_BYTES: Final = 64_000_000
"""What the sort and group operations of a step hold in memory, as JSON; a worker has 1 GB."""

GROUP_BYTES: Final = RECORD_BYTES
"""The records of one group, as JSON: they become one record."""

AGGREGATE_GROUPS: Final = 50_000
DEDUPE_KEYS: Final = 500_000
"""Keys that a dedupe without a data pool knows; it holds a digest of each."""

POOL_VALUE_BYTES: Final = 10_000
"""A value in a data pool, as JSON."""

FUNCTION_RECORDS: Final = 100
FUNCTION_REQUEST_BYTES: Final = 5_000_000
"""Records in one call of a function, as JSON; Lambda takes 6 MB."""

FUNCTION_SECONDS: Final = 300
"""What a function may take for one call."""

"""The documentation tells the truth: its routes, codes, limits, commands and links exist."""

import re
from pathlib import Path
from typing import Any, Final, get_args

import pytest
import yaml
from pydantic import BaseModel

from millrace import limits
from millrace.domain.action import ActionWork, ExportAction, HttpExport
from millrace.domain.authentication import Auth
from millrace.domain.aws_imports import DynamoDbImport, S3Import, SqsImport
from millrace.domain.batch_lookup import BatchLookup
from millrace.domain.connection import ConnectionInput, RateLimit
from millrace.domain.delta import Delta
from millrace.domain.flow_parts import ResponseMapping
from millrace.domain.formats import CsvFormat, XmlFormat
from millrace.domain.imports import HttpImport, Results, Upsert
from millrace.domain.operations import Operation
from millrace.domain.pagination import Pagination
from millrace.domain.response_mapping import merged
from millrace.domain.sources import PayloadExport, S3Export
from millrace.domain.step import Step
from millrace.http import problems
from millrace.http.openapi import document
from millrace.http.queries import FlowsQuery
from millrace.usecases.apply_document import AppliedFlow, ApplyDocument
from millrace.usecases.includes.catalogue import FLOW, VERSION
from millrace.usecases.includes.relation import names_of

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def page(name: str) -> str:
    """The text of a page."""
    return (ROOT / name).read_text()


def wire_names(model: type[BaseModel]) -> set[str]:
    """The field names of a model as they are on the wire."""
    return {field.alias or name for name, field in model.model_fields.items()}


def test_every_route_is_in_the_api_page() -> None:
    """Each path of the OpenAPI document, with its methods, has a row in docs/api.md."""
    rows = page("docs/api.md").splitlines()
    for path, operations in document()["paths"].items():
        methods = [method.upper() for method in operations]
        row = [row for row in rows if f" {path}`" in row]
        assert row, path
        for method in methods:
            assert any(f"`{method}" in each for each in row), (path, method)


def test_every_error_code_is_in_the_api_page() -> None:
    """Each code of a problem is listed with its status."""
    text = page("docs/api.md")
    for error, status in problems.STATUS.items():
        assert re.search(rf"^\| {status.value} \| .*`{error.code}`", text, re.MULTILINE), error


def test_the_limits_in_the_api_page_are_those_in_the_code() -> None:
    """The table of limits shows the numbers that are enforced."""
    table = page("docs/api.md").partition("## Limits")[2]
    request, webhook = limits.REQUEST_BYTES // 1_000_000, limits.WEBHOOK_BYTES // 1_000_000
    seconds, answer = limits.OUTBOUND_TIMEOUT_SECONDS, limits.OUTBOUND_BODY_BYTES // 1_000_000
    long_seconds = limits.OUTBOUND_STREAM_SECONDS
    long_answer = limits.OUTBOUND_STREAM_BYTES // 1_000_000
    record = limits.RECORD_BYTES // 1_000_000
    long_answers = f"{long_seconds:.0f} s; {long_answer} MB; one record {record} MB"
    connections, variables = limits.REPLACED_CONNECTIONS, limits.REPLACED_VARIABLES
    pools = limits.REPLACED_DATA_POOLS
    replaced = f"{connections} connections, {variables} variables, {pools} data pools"
    rate, under_way = limits.REQUESTS_PER_SECOND_MAX, limits.CONCURRENT_REQUESTS_MAX
    hours, patience = limits.RETRY_AFTER_SECONDS_MAX // 3_600, limits.WAIT_IN_TESTS_SECONDS
    honoured = f"{hours} h; a test or ping waits {patience} s"
    longest, usual = limits.DATA_POOL_TTL_SECONDS_MAX, limits.DATA_POOL_TTL_SECONDS
    intervals, rows, hourly = (
        limits.METRIC_INTERVALS,
        limits.METRIC_ROWS,
        limits.HOURLY_METRICS_DAYS,
    )
    api_keys = limits.API_KEYS_PER_FLOW
    stored = limits.TRANSACTION_ITEMS
    document = f"{limits.DOCUMENT_RESOURCES}; an import makes or changes at most {stored} stored"
    hours, unpacked = limits.TEMPLATE_URL_SECONDS // 3_600, limits.TEMPLATE_BYTES // 1_000_000
    together = f"{limits.TEMPLATE_FLOWS}, and {limits.INTEGRATION_TEMPLATE_BYTES // 1_000_000} MB"
    test_days, test_bytes = limits.TEST_RESULT_DAYS, limits.TEST_RESULT_BYTES
    shown, body = limits.TEST_ITEMS_SHOWN, limits.TEST_BODY_LENGTH
    key_length = limits.IDEMPOTENCY_KEY_LENGTH
    found = f"{limits.PAGE_RECORDS:,}, {limits.LOOKUP_RECORDS:,}"
    waits, of_limits = "runs that wait for a slot of a flow, or of a key", "of `GET /v1/limits`"
    batch, remembered = limits.QUEUE_BATCH, limits.MESSAGE_MEMORY_DAYS
    in_a_row, depth = limits.FLOWS_IN_A_ROW, limits.SUBFLOW_DEPTH
    id_length, id_days = limits.REQUEST_ID_LENGTH, limits.REQUEST_MEMORY_DAYS
    sort_keys = f"{limits.SORT_KEYS} keys of a `sort`"
    schema = f"{limits.SCHEMA_BYTES:,} bytes of a schema"
    held, group = limits.HELD_BYTES // 1_000_000, limits.GROUP_BYTES // 1_000_000
    called, call_seconds = limits.FUNCTION_REQUEST_BYTES // 1_000_000, limits.FUNCTION_SECONDS
    month, name = limits.DELIVERY_SECONDS_MAX // 86_400, limits.DELIVERY_ID_LENGTH
    named = f"what the address says, up to {month}; {name} characters,"
    for row in (
        f"| steps of a version | {limits.STEPS_PER_VERSION} |",
        f"| name | {limits.NAME_LENGTH} characters |",
        f"| runs that wait for each other | {depth} |",
        f"| messages of a queue | handed over by {batch}; remembered {remembered} days |",
        f"| steps of a request | {limits.STEPS_READ:,};",
        f"| faults named in one answer | {limits.ERRORS_SHOWN:,};",
        f"| expression | {limits.EXPRESSION_LENGTH:,} characters |",
        f"| request | {request} MB; webhook delivery {webhook} MB; ",
        f"| objects and arrays of a request within one another | {limits.REQUEST_LEVELS} |",
        f"| page of records | {limits.PAGE_RECORDS:,} |",
        f"| items of a list with numbered pages | {limits.PAGED_ITEMS:,};",
        f"| items of a list sorted by what no index has | {limits.SORTED_ITEMS:,} |",
        f"| items that a filter looks at for one request | {limits.WALKED_ITEMS:,} |",
        f"| values of a filter | {limits.PAGE_ITEMS_MAX}; {limits.LOOKED_UP} of ",
        f"| answer | {limits.ANSWER_BYTES // 1_000_000} MB |",
        f"| secrets of one resource | {limits.SECRETS_BYTES:,} bytes as JSON |",
        f"| groups of an integration | {limits.GROUPS_PER_INTEGRATION} |",
        f"| targets of a notification group | {limits.TARGETS_PER_GROUP} |",
        f"| replaced in a virtual environment | {replaced} |",
        f"| `ttlSeconds` of a data pool | {longest:,}; {usual:,} if absent |",
        f"| operations of a process | {limits.OPERATIONS}; {sort_keys}, {schema} |",
        f"| objects that one record is split into | {limits.SPLIT_OBJECTS:,} |",
        f"| {limits.HELD_RECORDS:,} records, {held} MB; one group {group} MB |",
        f"| groups of an `aggregate` | {limits.AGGREGATE_GROUPS:,} |",
        f"| keys of a `dedupe` without a data pool | {limits.DEDUPE_KEYS:,} |",
        f"| value in a data pool | {limits.POOL_VALUE_BYTES:,} bytes as JSON |",
        f"| call of a function | {limits.PAGE_RECORDS:,} records, {called} MB; {call_seconds} s |",
        f"| outbound request | {seconds:.0f} s; answer {answer} MB |",
        f"| answer of `ndjson`, `csv` or `xml` | {long_answers} |",
        f"| records that a lookup finds for one, for a batch | {found} |",
        f"| message to SQS | {limits.MESSAGE_BYTES:,} bytes; ",
        f"| columns of CSV, `arrays` of XML | {limits.COLUMNS:,} |",
        f"| elements within elements of XML | {limits.NESTED_ELEMENTS} |",
        f"| `maxPages` of an export | {limits.EXPORT_PAGES:,} |",
        f"| ping | {limits.PING_SECONDS:.0f} s |",
        f"| rate limit of a connection | {rate:,} requests a second, {under_way:,} under way |",
        f"| permits that a worker takes ahead | those of {limits.PERMITS_AHEAD_SECONDS} s |",
        f"| `Retry-After` and resets of rate limits honoured | {honoured} |",
        f"| delivery id remembered | {limits.DELIVERY_MEMORY_DAYS} days, or {named} or its hash |",
        f"| time of a signature | {limits.SIGNATURE_SECONDS} s off at most |",
        f"| `tracestate` of a request | {limits.TRACESTATE_LENGTH} characters;",
        f"| fields of a form | {limits.FORM_FIELDS:,} |",
        f"| headers of a `$response` | {limits.REPLY_HEADERS} |",
        f"| runs kept | {limits.RUN_DAYS} days; those that failed, as a whole or in part, ",
        f"| steps, outputs and large payloads of runs kept | {limits.RUN_DETAIL_DAYS} days |",
        f"| `settings` of a flow | {limits.SETTINGS_BYTES:,} bytes as JSON |",
        f"| `testPayload` | {limits.TEST_PAYLOAD_LENGTH:,} characters; {limits.TEST_HEADERS} ",
        f"| {limits.REFERENCES_OF_A_FLOW} of each; {limits.ALIASES} aliases; {api_keys} API keys |",
        f"| circles are found within {in_a_row} in a row; no more than {in_a_row} run in one |",
        f"| `lagMinutes` of a delta | {limits.DELTA_LAG_MINUTES:,} |",
        f"| unique request id | {id_length:,} characters; its latest run is remembered {id_days} ",
        f"| {limits.CONCURRENCY_MAX:,}; {limits.STEP_CONCURRENCY_MAX} of a step |",
        f"| {waits} | {limits.QUEUE_DEPTH:,}, each {limits.QUEUE_WAIT_HOURS} h |",
        f"| slot of a run | {limits.SLOT_LEASE_MINUTES} min after",
        f"| lanes in an answer {of_limits} | {limits.LANES_SHOWN}, with {limits.LANE_RUNS_SHOWN} ",
        f"| {limits.MAPPED_FIELDS} fields, {limits.MAPPED_LISTS} lists |",
        f"| configured answer of a webhook | {limits.ANSWER_BODY_LENGTH:,} characters |",
        f"| resources of a kind in a document | {document} items |",
        f"| flows in the template of an integration | {together} packed |",
        f"| address of a template | valid {hours} h; its files at most {unpacked} MB unpacked |",
        f"| operations of a patch | {limits.PATCH_OPERATIONS} |",
        f"| wait for the end of a run | {limits.RUN_WAIT_SECONDS} s |",
        f"| test of a flow | {limits.TEST_SECONDS} s; its result is kept {test_days} days |",
        f"| {shown} of a kind and step, {test_bytes:,} bytes as JSON in all; {body:,} characters",
        f"| intervals of metrics | {intervals:,}; {rows:,} rows with versions; {hourly} days of",
        f"| last use of a token | known to {limits.LAST_USED_SECONDS} s |",
        f"| `Idempotency-Key` | {key_length} characters; remembered {limits.IDEMPOTENCY_HOURS} h |",
        f"| value in the audit trail | {limits.AUDIT_VALUE_BYTES:,} bytes;",
    ):
        assert row in table


def test_every_field_of_a_file_is_described() -> None:
    """docs/flows.md names the fields of flow, step and connection, each kind of work and proof."""
    text = page("docs/flows.md")
    names = wire_names(ApplyDocument) | wire_names(AppliedFlow) | wire_names(Step) - {"position"}
    kinds = [
        *get_args(get_args(ActionWork.__value__)[0]),
        *get_args(get_args(Operation.__value__)[0]),
    ]
    names |= {get_args(kind.model_fields["type"].annotation)[0] for kind in kinds}
    for operation in get_args(get_args(Operation.__value__)[0]):
        names |= wire_names(operation)
    auths = get_args(get_args(Auth.__value__)[0])
    paginations = get_args(get_args(Pagination.__value__)[0])
    imports = (HttpImport, Results, Upsert, S3Import, DynamoDbImport, SqsImport)
    sources = (HttpExport, BatchLookup, S3Export, PayloadExport, Delta)
    exports = (*sources, CsvFormat, XmlFormat, *paginations, *imports)
    for model in (ConnectionInput, RateLimit, *auths, *exports):
        names |= wire_names(model)
    names |= {get_args(kind.model_fields["type"].annotation)[0] for kind in paginations}
    names |= {get_args(auth.model_fields["type"].annotation)[0] for auth in auths}
    missing = {name for name in names if not re.search(rf"\b{name}\b", text)}
    assert not missing


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Each link to a file of the repository finds it."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_make_verbs_in_the_pages_exist(path: Path) -> None:
    """Each `make verb` that a page names is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE))
    verbs = set(re.findall(r"(?:`|^)make ([a-z]+)", path.read_text(), re.MULTILINE))
    assert verbs <= targets


def test_the_flow_in_the_readme_is_a_valid_file() -> None:
    """A reader who copies the README's flow can apply it."""
    (text,) = re.findall(r"```yaml\n(.*?)```", page("README.md"), re.DOTALL)
    given = ApplyDocument.model_validate(yaml.safe_load(text))
    assert [flow.stable_key for flow in given.flows] == ["late-orders"]


def examples() -> list[tuple[str, Any]]:
    """What docs/flows.md shows of actions and steps; a comment names the kind but of exports."""
    blocks = re.findall(r"```yaml\n(?:# (\w+)[^\n]*\n)?(.*?)```", page("docs/flows.md"), re.DOTALL)
    return [(kind or "export", yaml.safe_load(text)) for kind, text in blocks]


EXAMPLES: Final[dict[str, type[BaseModel]]] = {
    "action": ExportAction,
    "export": HttpExport,
    "lookup": HttpExport,
    "import": HttpImport,
    "s3": S3Import,
    "dynamodb": DynamoDbImport,
    "sqs": SqsImport,
    "responseMapping": ResponseMapping,
}


def test_the_examples_in_the_flows_page_are_valid() -> None:
    """A reader who copies an export, an import or a mapping from docs/flows.md can use it."""
    found = [EXAMPLES[kind].model_validate(given) for kind, given in examples()]
    assert {type(each) for each in found} == set(EXAMPLES.values())
    exports = [each.format for each in found if isinstance(each, HttpExport)]
    assert exports == ["json", "json", "json", "csv", "xml", "json"]
    actions = [each for each in found if isinstance(each, ExportAction)]
    sources = [each.http or each.s3 or each.payload for each in actions]
    assert [source and source.format for source in sources] == ["json", "ndjson", "csv"]


def test_the_example_of_a_mapping_does_what_it_says() -> None:
    """Its fields and its list are made of an answer."""
    (given,) = (given for kind, given in examples() if kind == "responseMapping")
    parcels = [{"id": 1, "carrier": {"name": "A"}}, {"id": 2}]
    answer = {"_json": {"order": {"number": "N1", "parcels": parcels}}, "statusCode": 201}
    assert merged({"id": 7}, ResponseMapping.model_validate(given), answer) == {
        "id": 7,
        "shop": {
            "number": "N1",
            "status": 201,
            "parcels": [{"id": 1, "carrier": "A", "order": "N1"}, {"id": 2, "order": "N1"}],
        },
    }


def test_every_verb_of_the_makefile_is_explained() -> None:
    """`make` alone lists the verbs that a user needs, each with a sentence."""
    listed = dict(re.findall(r"^([a-z]+):.* ## (.+)$", page("Makefile"), re.MULTILINE))
    wanted = {"setup", "run", "stop", "log", "test", "check", "bench", "lock", "clean"}
    assert wanted <= listed.keys()


def test_every_filter_and_relation_is_in_the_api_page() -> None:
    """What a list of flows may be filtered by, and what may be included."""
    text = page("docs/api.md").partition("## Lists")[2].partition("## Changes")[0]
    filters = [name for name in FlowsQuery.names() if name.startswith("filter[")]
    relations = {name.rpartition(".")[2] for name in (*names_of(FLOW), *names_of(VERSION))}
    missing = {name for name in (*filters, *relations) if f"`{name}`" not in text}
    assert not missing

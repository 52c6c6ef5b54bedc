"""Marked secrets go into every input, and no sink has any of them, in whatever form (fault S11).

What users send as data stays as it is: these are the texts that are given as credentials.
"""

import gzip
import hashlib
import hmac
import json
import logging
import re
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from itertools import cycle
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus
from zipfile import ZipFile, is_zipfile

import boto3
import pytest
from tests.functional.conftest import Stack
from tests.support.app import (
    Answer,
    Client,
    FunctionName,
    LambdaContext,
    answer_of,
    documented,
    http_event,
)
from tests.support.aws import BUCKET, TABLE, create_notify_machine

from millrace.connectors.http_client import quotable
from millrace.connectors.masks import masks

type Json = Any


def canary(name: str) -> str:
    """A secret that is known by its mark, with characters that each encoding writes differently."""
    return f'cAnArY-{name}-"ü/+?&%'


def signing_key(name: str) -> str:
    """A marked secret in the form of Standard Webhooks."""
    return f"whsec_{b64encode(canary(name).encode()).decode()}"


KINDS: dict[str, tuple[dict[str, Json], str]] = {
    "bearer": ({"type": "bearer"}, "token"),
    "basic": ({"type": "basic", "username": "ann"}, "password"),
    "header": ({"type": "apiKey", "name": "X-Key"}, "key"),
    "query": ({"type": "apiKey", "in": "query", "name": "key"}, "key"),
    "oauth2": ({"type": "oauth2ClientCredentials", "clientId": "c"}, "clientSecret"),
    "hmac": ({"type": "hmac", "signedText": "{path}"}, "secret"),
}
PRINTABLE = {"bearer", "header", "query"}
"""Kinds whose secret is sent as it is, and so may be nothing but ASCII."""


def secret_of(kind: str) -> str:
    """The secret of a connection."""
    return f'cAnArY-{kind}-"/+?&%' if kind in PRINTABLE else canary(kind)


def sent_by(kind: str) -> list[str]:
    """The secrets that a connection's requests have."""
    pair = [f"ann:{secret_of(kind)}"] if kind == "basic" else []
    return [secret_of(kind), VARIABLE, *pair, *([GRANTED] if kind == "oauth2" else [])]


GRANTED = "cAnArY-access-token"
VARIABLE = 'cAnArY-variable-"/+?&%'
API_KEY, CUSTOMERS_KEY = "cAnArY-organization-key", "cAnArY-customers-key"
HOOK, HOOK_NEXT = canary("hook"), canary("hook-next")
NOTIFY = signing_key("notify")
REFUSED = "cAnArY-refused"
"""Goes where it is refused, and is told to nobody."""
ALL = [
    *map(secret_of, KINDS),
    *(GRANTED, VARIABLE, API_KEY, CUSTOMERS_KEY, HOOK, HOOK_NEXT, NOTIFY, canary("notify")),
    *(REFUSED, f"ann:{secret_of('basic')}"),
]


def within_base64(text: str) -> set[str]:
    """What base64 has of a text, whichever of its three places the text begins at."""
    found = set()
    for before in range(3):
        data = b"\0" * before + text.encode()
        for encode in (b64encode, urlsafe_b64encode):
            whole = encode(data).decode().rstrip("=")
            # The characters at both ends also depend on what stands beside the text.
            found.add(whole[(before * 8 + 5) // 6 : len(data) * 8 // 6])
    return found


def forms(text: str) -> set[str]:
    """What to look for."""
    return {
        text,
        quote(text),
        quote(text, safe=""),
        quote_plus(text),
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(text)[1:-1])[1:-1],
        json.dumps(text)[1:-1].replace("/", "\\/"),
        re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
        *within_base64(text),
    }


def echoes(*texts: str) -> Iterator[str]:
    """What a hostile receiver has to say: each form of what it was sent, a few at a time.

    More than their beginning is not repeated of what it says.
    """
    known = sorted(form for text in texts for form in forms(text))
    return cycle(" ".join(known[place : place + 4]) for place in range(0, len(known), 4))


@dataclass
class Sinks:
    """All that was ever told or kept."""

    secrets: list[str]
    told: list[tuple[str, str]] = field(default_factory=list)

    def take(self, name: str, *texts: object) -> None:
        """Remember what a sink got."""
        self.told += [(name, text if isinstance(text, str) else str(text)) for text in texts]

    def leaks(self) -> set[tuple[str, str]]:
        """Which sinks have which secrets."""
        wanted = {form: text for text in self.secrets for form in forms(text)}
        whole = "\n".join(text for _, text in self.told)
        found = [form for form in wanted if form in whole]
        return {(name, wanted[form]) for form in found for name, text in self.told if form in text}


@dataclass
class Scene:
    """A workspace whose every word is written down."""

    stack: Stack
    client: Client
    sinks: Sinks

    def __call__(self, method: str, path: str, body: Json = None, **more: Json) -> Answer:
        """Ask the API, and remember its answer."""
        told = self.client(method, path, body, **more)
        self.sinks.take(f"{method} {path}", told.headers, json.dumps(told.body), told.body)
        return told

    def made(self, path: str, body: Json) -> str:
        """The id of something new."""
        told = self("POST", path, body)
        assert told.status == 201, told.body
        id_: str = told.body["id"]
        return id_

    def flow(self, connection: str, groups: list[str]) -> dict[str, Json]:
        """A deployed flow that reads and writes with a secret variable in its requests."""
        value = "{{ variables.canary }}"
        writes = {"path": f"/a/{value}", "headers": {"X-Variable": value}}
        pages = {"recordsPath": "/items", "pagination": {"type": "nextLink"}}
        reads = {**writes, **pages, "query": {"q": value}}
        steps = [
            {
                "id": id_,
                "type": kind,
                "dependsOn": after,
                "retry": {"maxAttempts": 0},
                "action": {"type": kind, "connectionId": connection, "http": asked},
            }
            for id_, kind, after, asked in (
                ("read", "Export", [], reads),
                ("write", "Import", ["read"], writes),
            )
        ]
        flow = {
            "name": connection,
            "stableKey": connection.replace("_", "-").lower(),
            "steps": steps,
            "notificationGroups": groups,
            "endpointSecurityType": "organization",
            "organizationApiKeys": [API_KEY],
        }
        applied = self("POST", "/v1/apply", {"flows": [flow]})
        assert applied.status == 200, applied.body
        found: dict[str, Json] = applied.body["flows"][0]
        return found

    def carry_out(self, run_id: str) -> None:
        """Run the steps as the machine would, up to one that fails, and tell of the end."""
        run = self("GET", f"/v1/runs/{run_id}").body
        task = {"workspaceId": run["workspaceId"], "runId": run_id, "attempt": 1}
        told: dict[str, Json] = {"event": "attemptSucceeded"}
        for step in ("read", "write"):
            try:
                done = self.stack.functions["run_step"]({"stepId": step, **task}, LambdaContext())
                self.sinks.take("machine", json.dumps(done))
            except Exception as error:  # noqa: BLE001 - Lambda tells the machine of any
                cause = {"errorType": type(error).__name__, "errorMessage": str(error)}
                self.sinks.take("machine", json.dumps(cause), repr(error))
                failure = {"Error": cause["errorType"], "Cause": json.dumps(cause)}
                told = {"event": "attemptFailed", "failure": failure}
                break
        self.sinks.take("machine", self.stack.functions["lifecycle"](told | task, LambdaContext()))

    def change(self, path: str, body: Json, *statuses: int) -> None:
        """Send a resource whole, and a patch of all that it was given."""
        patch = [{"op": "add", "path": f"/{name}", "value": body[name]} for name in body]
        for method, given in (("PUT", body), ("PATCH", patch)):
            told = self(method, path, given, headers=self("GET", path).etag)
            assert told.status in statuses, (method, path, told.body)

    def invoke(self, function: FunctionName, event: Json) -> None:
        """An event that nobody waits for: the function fails, and Lambda puts it into a queue."""
        sqs = boto3.client("sqs")
        with pytest.raises(ValueError, match=r".") as raised:
            self.stack.functions[function](event, LambdaContext())
        queue = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
        sqs.send_message(
            QueueUrl=queue,
            MessageBody=json.dumps(event),
            MessageAttributes={
                "ErrorMessage": {"DataType": "String", "StringValue": str(raised.value)}
            },
        )

    def deliver(
        self, address_id: str, signed_with: str, kind: str = "webhook", **headers: str
    ) -> Answer:
        """Send a signed delivery, or a call."""
        body = b"[]"
        signature = hmac.new(signed_with.encode(), body, hashlib.sha256).hexdigest()
        given = {"Content-Type": "application/json", "X-Signature": signature, **headers}
        sent = http_event("ingress", "POST", f"/{kind}s/{address_id}", body, given)
        sent["pathParameters"] = {f"{kind}Id": address_id}
        told = answer_of(self.stack.functions["ingress"](sent, LambdaContext()))
        self.sinks.take("ingress", told.headers, told.body)
        return told


def all_kept() -> Iterator[tuple[str, str]]:
    """All that is stored, but for the secret store."""
    for page in boto3.client("dynamodb").get_paginator("scan").paginate(TableName=TABLE):
        for item in page["Items"]:
            yield "table", str({name: readable(value) for name, value in item.items()})
    s3 = boto3.client("s3")
    for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        yield "bucket", each["Key"]
        yield "bucket", unpacked(s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read())
    sqs = boto3.client("sqs")
    for queue in sqs.list_queues().get("QueueUrls", []):
        found = sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        for message in found.get("Messages", []):
            yield "queues", str(message)
    states = boto3.client("stepfunctions")
    for machine in states.list_state_machines()["stateMachines"]:
        arn = machine["stateMachineArn"]
        yield "machines", str(states.describe_state_machine(stateMachineArn=arn))
        for execution in states.list_executions(stateMachineArn=arn)["executions"]:
            told = states.describe_execution(executionArn=execution["executionArn"])
            yield "executions", str(told)


def readable(value: Json) -> Json:
    """An attribute of an item; one of bytes is a step's output, which is compressed."""
    return unpacked(bytes(value["B"])) if "B" in value else value


def unpacked(data: bytes) -> str:
    """Bytes as text, what is in them if they are packed."""
    if is_zipfile(BytesIO(data)):
        with ZipFile(BytesIO(data)) as files:
            return " ".join(files.read(name).decode() for name in files.namelist())
    with suppress(OSError, EOFError, zlib.error):
        data = gzip.decompress(data)
    return data.decode("utf-8", "replace")


@pytest.fixture
def scene(stack: Stack, alice: Client) -> Scene:
    """Alice at work."""
    return Scene(stack, alice, Sinks([*ALL, alice.token]))


@pytest.fixture
def chatty(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log, all of it but what the AWS client and its simulation say."""
    with caplog.at_level(logging.DEBUG):
        # The level for a logger is one for what is caught, too: the last that is set counts.
        for name in ("botocore", "boto3", "moto", "s3transfer"):
            caplog.set_level(logging.WARNING, name)
        caplog.set_level(logging.DEBUG, "millrace")
        yield caplog


def refused_inputs(url: str) -> Iterator[tuple[str, Json]]:
    """Requests with a secret in a place where none may be, or of a shape that none has."""
    shop = {"name": "Shop", "baseUrl": url}
    at = url.replace("http://", f"http://ann:{REFUSED}@")
    yield "/v1/connections", shop | {"baseUrl": at}
    yield "/v1/connections", shop | {"auth": {"type": "bearer", "token": [REFUSED]}}
    yield "/v1/connections", shop | {"auth": {"type": "bearer", "token": REFUSED, "tokn": REFUSED}}
    yield "/v1/connections", shop | {"auth": {"type": "basic", "username": 1, "password": REFUSED}}
    yield "/v1/connections", shop | {"auth": {"type": "bearer", "token": f"{REFUSED}\n"}}
    oauth = {"type": "oauth2ClientCredentials", "clientId": "c", "clientSecret": REFUSED}
    yield "/v1/connections", shop | {"auth": {**oauth, "tokenUrl": at}}
    yield "/v1/variables", {"key": "x", "secret": True, "type": "number", "value": REFUSED}
    yield "/v1/virtualEnvironments", {"name": "x", "apiKeys": [f"{REFUSED}\n"]}
    yield "/v1/flows", {"name": "x", "organizationApiKeys": [REFUSED[:8], f"{REFUSED} ü"]}
    targets = [{"type": "url", "url": at}]
    yield "/v1/notificationGroups", {"name": "x", "targets": targets}
    group = {"name": "x", "targets": [], "signingSecret": REFUSED}
    yield "/v1/notificationGroups", group
    yield "/v1/apply", {"connections": [shop | {"auth": {"type": "bearer", "token": [REFUSED]}}]}


class Shop(BaseHTTPRequestHandler):
    """A system that repeats what it is sent, in every form."""

    refuses: ClassVar[bool] = False
    """Whether it does nothing else."""
    words: ClassVar[Iterator[str]] = iter(())

    def do_GET(self) -> None:
        """Two pages of orders, the first with a link that has everything in it."""
        if self.refuses:
            self._answer(403, f"{next(self.words)} {self.requestline} {self.headers}")
        elif self.path.startswith("/second"):
            self._answer(200, json.dumps({"items": [{"id": 3}], "next": None}))
        else:
            link = f"/second?key={quote(self.headers.get('X-Key', ''), safe='')}&{self.path[-99:]}"
            link += f"&own={quote(secret_of('query'), safe='')}"
            self._answer(200, json.dumps({"items": [{"id": 1}, {"id": 2}], "next": link}))

    def do_POST(self) -> None:
        """A token; an order, of which the second is not wanted; a notification, which never is."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/token" and not self.refuses:
            self._answer(200, json.dumps({"access_token": GRANTED, "expires_in": 3600}))
        elif self.refuses or self.path == "/notify" or '"id":2' in body.replace(" ", ""):
            self._answer(422, f"{next(self.words)} {self.requestline} {self.headers} {body}")
        else:
            self._answer(201, "")

    def _answer(self, status: int, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing: what it is sent is its own affair."""


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the shop listens."""
    monkeypatch.setattr(Shop, "refuses", False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def everything(scene: Scene, shop: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Have a workspace with secrets wherever there may be any, and use them; the last ids."""
    ids: dict[str, str] = {}
    variable = {"key": "canary", "secret": True, "value": VARIABLE}
    ids["variable_id"] = scene.made("/v1/variables", variable)
    environment = {"name": "Test", "apiKeys": [CUSTOMERS_KEY]}
    ids["virtual_environment_id"] = scene.made("/v1/virtualEnvironments", environment)
    target = {"type": "url", "url": f"{shop}/notify"}
    group = {"name": "Ops", "targets": [target], "on": ["failed", "partiallySucceeded"]}
    ids["notification_group_id"] = scene.made(
        "/v1/notificationGroups", group | {"signingSecret": NOTIFY}
    )
    for kind, (auth, name) in KINDS.items():
        token = {"tokenUrl": f"{shop}/token"} if kind == "oauth2" else {}
        given = {"name": kind, "baseUrl": shop, "auth": auth | token | {name: secret_of(kind)}}
        ids["connection_id"] = scene.made("/v1/connections", given)
        flow = scene.flow(ids["connection_id"], [ids["notification_group_id"]])
        path = f"/v1/flows/{flow['id']}"
        ids |= {"flow_id": flow["id"], "version_id": flow["versionId"]}
        monkeypatch.setattr(Shop, "words", echoes(*sent_by(kind)))
        for refuses in (True, True, False):
            monkeypatch.setattr(Shop, "refuses", refuses)
            scene("POST", f"/v1/connections/{ids['connection_id']}/ping")
            ids["test_id"] = scene("POST", f"{path}/test", {}).body["id"]
            ids["run_id"] = scene("POST", f"{path}/run").body["runId"]
            scene.carry_out(ids["run_id"])
    return ids


def receive(scene: Scene, flow_id: str) -> dict[str, str]:
    """Have the flow take deliveries, right ones and wrong ones; the ids of its addresses."""
    hook = {
        "hmacAlgorithm": "sha256",
        "hmacHeader": "X-Signature",
        "hmacPrefix": "",
        "hmacSecretKey": HOOK,
        "hmacSecretKeyNext": HOOK_NEXT,
    }
    ids = {
        f"{kind}_id": scene.made(f"/v1/flows/{flow_id}/{kind}s", hook | {"name": kind})
        for kind in ("webhook", "callback")
    }
    for secret, key, status in (
        (HOOK, API_KEY, 202),
        (HOOK_NEXT, API_KEY, 202),
        (REFUSED, API_KEY, 401),
        (HOOK, REFUSED, 401),
    ):
        private = {"Api-Key": key, "Authorization": f"Bearer {REFUSED}", "Cookie": f"a={REFUSED}"}
        told = scene.deliver(ids["webhook_id"], secret, **private)
        assert told.status == status, told.body
    for secret, key, status in (
        (HOOK, API_KEY, 202),
        (REFUSED, API_KEY, 401),
        (HOOK, REFUSED, 401),
    ):
        told = scene.deliver(ids["callback_id"], secret, "callback", **{"Api-Key": key})
        assert told.status == status, told.body
    for kind in ("webhook", "callback"):
        scene.change(f"/v1/flows/{flow_id}/{kind}s/{ids[f'{kind}_id']}", hook | {"name": "b"}, 200)
    return ids


SINKS = {
    *("table", "bucket", "queues", "machines", "executions"),
    *("ingress", "machine", "notification", "log", "standard output"),
}
"""Where a secret might be, beside the answers of the API."""

RESOURCES = {
    "/v1/connections": "connection_id",
    "/v1/variables": "variable_id",
    "/v1/virtualEnvironments": "virtual_environment_id",
    "/v1/notificationGroups": "notification_group_id",
    "/v1/flows": "flow_id",
}
"""What has a place for a secret."""


def change_all(scene: Scene, ids: dict[str, str], shop: str) -> None:
    """Send each secret again, to what has it already; and in a file."""
    kind, (auth, name) = [*KINDS.items()][-1]
    auth = auth | {name: secret_of(kind)}
    target = {"type": "url", "url": f"{shop}/other"}
    for path, given in (
        ("/v1/connections", {"name": "b", "baseUrl": shop, "auth": auth}),
        ("/v1/variables", {"key": "canary", "secret": True, "value": VARIABLE}),
        ("/v1/virtualEnvironments", {"name": "b", "apiKeys": [CUSTOMERS_KEY]}),
        ("/v1/notificationGroups", {"name": "b", "targets": [target], "signingSecret": NOTIFY}),
    ):
        scene.change(f"{path}/{ids[RESOURCES[path]]}", given, 200)
    applied = {"name": "c", "stableKey": "c", "baseUrl": shop, "auth": auth}
    told = scene("POST", "/v1/apply", {"connections": [applied]})
    assert told.status == 200, told.body


def lose(scene: Scene, ids: dict[str, str]) -> None:
    """Have events lost that came for the flow."""
    run = scene("GET", f"/v1/runs/{ids['run_id']}").body
    of_run = {"workspaceId": run["workspaceId"], "runId": run["id"], "failure": run.get("error")}
    scene.invoke("lifecycle", of_run | {"event": "attemptFailed", "attempt": "none"})
    of_flow = {"workspaceId": run["workspaceId"], "flowId": ids["flow_id"]}
    scene.invoke("trigger", of_flow | {"scheduledFor": "soon"})


def look_at_all(scene: Scene, ids: dict[str, str]) -> None:
    """Have everything shown and exported that can be."""
    for method, path in documented():
        if method == "GET" and not path.endswith(("/docs", "/openapi.json")):
            names = re.findall(r"{(\w+)}", path)
            told = scene(method, path.format(**{name: ids.get(name, "x_1") for name in names}))
            assert told.status < 500, path
            if all(name in ids for name in names):
                assert told.status in {200, 404}, (path, told.body)
    flow = {"flowId": ids["flow_id"]}
    document = scene("POST", "/v1/flows/export", flow)
    assert document.status == 200, document.body
    assert scene("POST", f"/v1/flows/{ids['flow_id']}/template").status == 200
    kept = scene("POST", "/v1/flows/import", document.body | {"asMarketplace": True})
    assert kept.status in {200, 201}, kept.body
    assert scene("POST", f"/v1/flows/{ids['flow_id']}/duplicate").status == 201


def notify(scene: Scene, machine: str) -> None:
    """Try the notifications, which are refused."""
    states = boto3.client("stepfunctions")
    executions = states.list_executions(stateMachineArn=machine)["executions"]
    assert executions
    for each in executions:
        given = states.describe_execution(executionArn=each["executionArn"])["input"]
        told = scene.stack.functions["notify"](json.loads(given), None)
        scene.sinks.take("notification", given, json.dumps(told))


def test_s11_no_secret_is_anywhere_but_in_the_secret_store(
    scene: Scene,
    shop: str,
    chatty: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connections of each kind, addresses, keys, variables; runs that fail and runs that do not."""
    machine = create_notify_machine()
    ids = everything(scene, shop, monkeypatch)
    statuses = [run["status"] for run in scene("GET", "/v1/runs").body["data"]]
    assert sorted(set(statuses)) == ["failed", "partiallySucceeded"], statuses
    (entry, *_) = scene("GET", f"/v1/flows/{ids['flow_id']}/errors").body["data"]
    ids |= receive(scene, ids["flow_id"]) | {"error_id": entry["id"], "step_id": "write"}
    notify(scene, machine)
    change_all(scene, ids, shop)
    for path, body in refused_inputs(shop):
        told = scene("POST", path, body)
        assert told.status == 422, (path, body, told.body)
        if path in RESOURCES:
            scene.change(f"{path}/{ids[RESOURCES[path]]}", body, 422)
    lose(scene, ids)
    look_at_all(scene, ids)
    written = capsys.readouterr()
    scene.sinks.take("log", chatty.text, *map(repr, chatty.records))
    scene.sinks.take("standard output", written.out)
    scene.sinks.told += all_kept()
    assert scene.sinks.leaks() == set()
    # There was something to look at, everywhere.
    assert {name for name, text in scene.sinks.told if text} >= SINKS
    assert "delivery accepted" in chatty.text
    assert '"_aws"' in written.out
    scene.sinks.take("log", f"x{b64encode(f'Bearer {HOOK}'.encode()).decode()}x")
    assert scene.sinks.leaks() == {("log", HOOK)}


@pytest.mark.parametrize("text", ['s3cret "ü/+?&%', "plain-text-of-a-secret", "日本語の秘密"])
@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_s11_no_form_of_a_secret_is_quoted(text: str, before: str) -> None:
    """Whatever else a receiver wraps together with it."""
    whole = f"{before}{text}!"
    said = [
        whole,
        quote(whole),
        quote_plus(whole),
        json.dumps(whole),
        json.dumps(json.dumps(whole)),
    ]
    said += [encode(whole.encode()).decode() for encode in (b64encode, urlsafe_b64encode)]
    for each in said:
        quoted = quotable(each, masks(text))
        assert "***" in quoted
        assert not [form for form in forms(text) if form in quoted]

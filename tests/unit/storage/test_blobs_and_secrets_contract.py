"""What every store of blobs and of secrets promises, in memory and on AWS."""

from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from tests.support.aws import KEY_ARN, simulated_aws

from millrace.domain.errors import NotFoundError
from millrace.domain.ports import Blobs, Secrets
from millrace.storage.ssm_secrets import SsmSecrets

KEY = "ws_1/con_1/sec_1"


def test_a_blob_comes_back_as_it_was(blobs: Blobs) -> None:
    """Any bytes go in and come out; the same key may be stored again."""
    data = bytes(range(256)) * 100
    blobs.put("ws_1/runs/run_1/payload.json", data)
    blobs.put("ws_1/runs/run_1/payload.json", data)
    assert blobs.get("ws_1/runs/run_1/payload.json") == data


def test_a_blob_that_is_gone_is_not_found(blobs: Blobs) -> None:
    """Missing bytes are an error in domain words."""
    with pytest.raises(NotFoundError):
        blobs.get("ws_1/nothing")


def test_a_blob_can_be_forgotten(blobs: Blobs) -> None:
    """Deleting it twice is harmless, and others stay."""
    blobs.put("runs/ws_1/a", b"a")
    blobs.put("runs/ws_1/b", b"b")
    for _ in range(2):
        blobs.delete("runs/ws_1/a")
    with pytest.raises(NotFoundError):
        blobs.get("runs/ws_1/a")
    assert blobs.get("runs/ws_1/b") == b"b"


def test_a_blob_has_an_address_that_expires(blobs: Blobs) -> None:
    """It names the blob, how long it holds, and what to call the file."""
    blobs.put("ws_1/templates/flow_1/a.zip", b"zip")
    url = urlsplit(blobs.url("ws_1/templates/flow_1/a.zip", 3_600, "flow_1.zip"))
    query = parse_qs(url.query)
    assert url.path.endswith("/ws_1/templates/flow_1/a.zip")
    assert query["X-Amz-Expires"] == ["3600"]
    assert "flow_1.zip" in str(query)


def test_secrets_come_back_and_can_be_forgotten(secrets: Secrets) -> None:
    """A set of secrets is kept under its key until it is deleted; deleting twice is harmless."""
    values = {"token": 's3cret é " \\', "password": ""}
    secrets.put(KEY, values)
    assert secrets.get(KEY) == values
    secrets.delete(KEY)
    secrets.delete(KEY)


def test_secrets_that_are_gone_are_not_found(secrets: Secrets) -> None:
    """Whoever needs them is told to set them again."""
    with pytest.raises(NotFoundError, match="set them again"):
        secrets.get(KEY)


def test_what_is_given_out_is_a_copy(secrets: Secrets) -> None:
    """Changing what was read does not change what the next reader gets."""
    secrets.put(KEY, {"token": "a"})
    secrets.get(KEY)["token"] = "b"
    assert secrets.get(KEY) == {"token": "a"}


def test_secrets_are_encrypted_under_the_stack_prefix() -> None:
    """On AWS a set is one SecureString, below the prefix that policies name, by the stack's key."""
    with simulated_aws():
        client = boto3.client("ssm")
        SsmSecrets(lambda: client, "/millrace/secrets", KEY_ARN).put(KEY, {"token": "a"})
        (parameter,) = client.describe_parameters()["Parameters"]
    assert parameter["Name"] == f"/millrace/secrets/{KEY}"
    assert (parameter["Type"], parameter["KeyId"]) == ("SecureString", KEY_ARN)


def test_secrets_are_read_once_a_process() -> None:
    """Parameter Store allows few reads a second, so a set is remembered."""
    with simulated_aws():
        client = boto3.client("ssm")
        store = SsmSecrets(lambda: client, "/millrace/secrets", KEY_ARN)
        store.put(KEY, {"token": "a"})
        store.get(KEY)
        client.delete_parameter(Name=f"/millrace/secrets/{KEY}")
        assert store.get(KEY) == {"token": "a"}

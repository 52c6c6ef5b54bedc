"""What the API is measured against: a Powertools handler with validation and one boto3 client.

It makes the same calls of DynamoDB as the API's routes, by hand, and knows no rules.
"""

import json
import os
from typing import Any
from urllib.parse import unquote

import boto3
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from pydantic import BaseModel

TABLE = os.environ["MILLRACE_TABLE"]

dynamodb = boto3.client("dynamodb")
app = APIGatewayHttpResolver(enable_validation=True)


class Item(BaseModel):
    """Any item."""

    data: dict[str, Any]


class NewItem(BaseModel):
    """A flow as it is sent."""

    name: str
    steps: list[dict[str, Any]]


@app.get("/items/<pk>/<sk>")
def get_item(pk: str, sk: str) -> Item:
    """One item, consistently."""
    answer = dynamodb.get_item(
        TableName=TABLE, Key={"pk": {"S": unquote(pk)}, "sk": {"S": sk}}, ConsistentRead=True
    )
    return Item(data=json.loads(answer["Item"]["data"]["S"]))


@app.get("/items/<pk>")
def list_items(pk: str) -> list[Item]:
    """A hundred items of a partition."""
    answer = dynamodb.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": unquote(pk)}},
        Limit=100,
    )
    return [Item(data=json.loads(item["data"]["S"])) for item in answer["Items"] if "data" in item]


@app.post("/items/<pk>/<sk>")
def put_item(pk: str, sk: str, given: NewItem) -> Item:
    """One item."""
    item = {"pk": {"S": unquote(pk)}, "sk": {"S": sk}, "data": {"S": given.model_dump_json()}}
    dynamodb.transact_write_items(
        TransactItems=[{"Put": {"TableName": TABLE, "Item": item}}],
    )
    return Item(data=given.model_dump())


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's
    """The answer to one request."""
    return app.resolve(event, context)

"""DynamoDB's typed attributes, for the few types Millrace stores."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

type Attributes = dict[str, "AttributeValueTypeDef"]


def attributes(**values: str | int | bytes) -> Attributes:
    """Plain values as typed attributes."""
    return {name: attribute(value) for name, value in values.items()}


def attribute(value: str | bytes | int) -> "AttributeValueTypeDef":
    """One plain value as a typed attribute."""
    match value:
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case int():
            return {"N": str(value)}


def text(item: dict[str, Any], name: str) -> str:
    """A string attribute of an item."""
    return str(item[name]["S"])


def number(item: dict[str, Any], name: str) -> int:
    """An integer attribute of an item."""
    return int(item[name]["N"])


def data(item: dict[str, Any]) -> str | bytes:
    """The packed model of an item."""
    value = item["data"]
    return value["S"] if "S" in value else bytes(value["B"])

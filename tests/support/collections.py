"""One of each plain resource as a client sends it, and what it is changed to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from millrace.usecases.actions import ACTIONS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.crud import Crud
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.plain import DATA_POOLS, LABELS, NOTIFICATION_GROUPS, TEMPLATES
from millrace.usecases.variables import VARIABLES
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS


@dataclass(frozen=True, slots=True)
class Sample:
    """A kind of resource by example."""

    collection: str
    id_name: str
    crud: Crud[Any, Any]
    given: Mapping[str, Any]
    """Valid in an empty workspace."""
    change: Mapping[str, Any]
    key: str = "stableKey"
    """The field that no two of a workspace share."""
    secret: str | None = None
    """A text within `given` that is write-only."""

    @property
    def changed(self) -> dict[str, Any]:
        """What `given` is replaced by."""
        return {**self.given, **self.change}


_MAP: Final = {"type": "Process", "operations": [{"type": "map", "expression": "$"}]}
_OTHER_MAP: Final = {"type": "Process", "operations": [{"type": "map", "expression": "{}"}]}

SAMPLES: Final = (
    Sample(
        "integrations",
        "integration_id",
        INTEGRATIONS,
        {"name": "ERP", "stableKey": "erp", "groups": [{"id": "nightly", "name": "Nightly"}]},
        {
            "groups": [{"id": "nightly", "name": "At night", "sortOrder": 2}],
            "category": "Finance",
            "settings": {"currency": "EUR"},
        },
    ),
    Sample(
        "connections",
        "connection_id",
        CONNECTIONS,
        {
            "name": "Shop",
            "stableKey": "shop",
            "baseUrl": "https://shop.example",
            "auth": {"type": "bearer", "token": "s3cret-text"},
        },
        {"headers": {"X-Tenant": "1"}, "system": {"name": "Shopify", "label": "EU"}},
        secret="s3cret-text",
    ),
    Sample(
        "actions",
        "action_id",
        ACTIONS,
        {"name": "Same", "stableKey": "same", "work": _MAP},
        {"work": _OTHER_MAP, "settings": {"modelId": "m1", "workspaceId": "w1"}},
    ),
    Sample(
        "variables",
        "variable_id",
        VARIABLES,
        {"key": "apiKey", "value": "s3cret-text", "secret": True},
        {"description": "of the shop"},
        key="key",
        secret="s3cret-text",
    ),
    Sample(
        "virtualEnvironments",
        "virtual_environment_id",
        VIRTUAL_ENVIRONMENTS,
        {
            "name": "Test",
            "stableKey": "test",
            "replacements": {"variables": {"limit": 1}},
            "apiKeys": ["k3y-of-sixteen-or-more"],
        },
        {"replacements": {"variables": {"limit": True}, "priority": 1}},
    ),
    Sample(
        "labels",
        "label_id",
        LABELS,
        {"name": "Finance", "stableKey": "finance", "colour": "#00AA00"},
        {"colour": "#aa0000"},
    ),
    Sample(
        "notificationGroups",
        "notification_group_id",
        NOTIFICATION_GROUPS,
        {
            "name": "On call",
            "stableKey": "on-call",
            "targets": [
                {"type": "url", "url": "https://chat.example/hook?room=1"},
                {"type": "email", "address": "ops@shop.example"},
                {"type": "sns", "topicArn": "arn:aws:sns:eu-west-1:123456789012:ops"},
            ],
            "on": ["failed", "recovered"],
            "signingSecret": "s3cret-text",
        },
        {"on": ["partiallySucceeded"]},
        secret="s3cret-text",
    ),
    Sample(
        "templates",
        "template_id",
        TEMPLATES,
        {"name": "Orders", "stableKey": "orders", "document": {"n": 1, "none": None}},
        {"document": {"n": True, "none": None}, "version": 2},
    ),
    Sample(
        "dataPools",
        "data_pool_id",
        DATA_POOLS,
        {"name": "Seen", "stableKey": "seen", "ttlSeconds": 3_600},
        {"ttlSeconds": 60},
    ),
)

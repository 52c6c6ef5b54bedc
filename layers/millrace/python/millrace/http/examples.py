"""Bodies of requests as users send them, for the OpenAPI document; each is accepted as it is."""

from typing import Final

from millrace.domain.base import Json

_STEPS: Final = [
    {
        "id": "late",
        "name": "Keep what is late",
        "type": "Process",
        "action": {
            "type": "Process",
            "operations": [{"type": "filter", "expression": "daysLate > 3"}],
        },
    },
    {
        "id": "shape",
        "type": "Process",
        "dependsOn": ["late"],
        "action": {
            "type": "Process",
            "operations": [{"type": "map", "expression": "{'order': id, 'late': daysLate}"}],
        },
    },
]

_DOCUMENT: Final = {
    "metadata": {"format": "millrace.flow", "formatVersion": 1, "flowName": "Late orders"},
    "flow": {
        "name": "Late orders",
        "stableKey": "late-orders",
        "steps": [
            {
                "id": "read",
                "type": "Export",
                "action": {
                    "type": "Export",
                    "connectionId": "shop",
                    "http": {"path": "/orders"},
                },
            },
            {**_STEPS[0], "dependsOn": ["read"]},
        ],
    },
    "dependencies": {
        "connections": {
            "shop": {
                "name": "Shop",
                "stableKey": "shop",
                "baseUrl": "https://shop.example/api",
                "auth": {"type": "bearer"},
            },
        },
    },
}

EXAMPLES: Final[dict[tuple[str, str], dict[str, Json]]] = {
    ("POST", "/v1/flows/{flow_id}/errors/retry"): {
        "all of a step": {"filter": {"stepId": ["load"], "classification": ["intermittent"]}},
        "by id": {"errorIds": ["err_01KF9Q2Z0M8E6T4V3X1B5C7D9H_42_load"], "version": "latest"},
    },
    ("PUT", "/v1/flows/{flow_id}/errors/assign"): {
        "to somebody": {"filter": {"code": ["http422"]}, "assignedTo": "zoe@shop.example"},
    },
    ("POST", "/v1/flows"): {
        "by hand": {"name": "Late orders", "steps": _STEPS},
        "on a schedule": {
            "name": "Late orders every morning",
            "trigger": {"kind": "schedule"},
            "schedule": "0 7 * * *",
            "timezone": "Europe/London",
            "retryMaxAttempts": 2,
            "retryDelayMinutes": 5,
            "steps": _STEPS,
        },
    },
    ("PUT", "/v1/flows/{flow_id}"): {
        "new steps": {"name": "Late orders", "steps": _STEPS},
    },
    ("PATCH", "/v1/flows/{flow_id}"): {
        "rename and disable": [
            {"op": "replace", "path": "/name", "value": "Late orders, paused"},
            {"op": "replace", "path": "/enabled", "value": False},
        ],
    },
    ("POST", "/v1/flows/{flow_id}/run"): {
        "with a payload": {"payload": [{"id": "A-17", "daysLate": 5}]},
    },
    ("POST", "/v1/flows/{flow_id}/test"): {
        "with a payload": {"payload": [{"id": "A-17", "daysLate": 5}]},
        "as a webhook gets it": {
            "payload": '{"id": "A-17", "daysLate": 5}',
            "payloadContentType": "application/json",
        },
    },
    ("POST", "/v1/flows/{flow_id}/steps/{step_id}/test"): {
        "with records": {"records": [{"id": "A-17", "daysLate": 5}]},
    },
    ("PUT", "/v1/flows/{flow_id}/versions/{version_id}"): {
        "deploy": {"deployedAt": "2026-01-31T09:00:00Z"},
        "undeploy": {"deployedAt": None},
    },
    ("POST", "/v1/connections"): {
        "with a token": {
            "name": "Shop",
            "baseUrl": "https://shop.example/api",
            "auth": {"type": "bearer", "token": "the shop's token"},
        },
    },
    ("PATCH", "/v1/connections/{connection_id}"): {
        "a new address": [
            {"op": "replace", "path": "/baseUrl", "value": "https://shop.example/v2"}
        ],
        "a new token": [
            {
                "op": "replace",
                "path": "/auth",
                "value": {"type": "bearer", "token": "the shop's new token"},
            }
        ],
    },
    ("POST", "/v1/actions"): {
        "filter and map": {"name": "Late orders", "work": _STEPS[0]["action"]},
    },
    ("POST", "/v1/flows/import"): {
        "what an export answered": _DOCUMENT,
        "under another name and key": _DOCUMENT
        | {"metadata": {"name": "Late orders of Paris", "stableKey": "late-orders-paris"}},
        "kept as a template": _DOCUMENT | {"asMarketplace": True},
    },
    ("POST", "/v1/apply"): {
        "a flow": {"flows": [{"name": "Late orders", "stableKey": "late-orders", "steps": _STEPS}]},
    },
}
"""By method and path, then by what the example shows."""

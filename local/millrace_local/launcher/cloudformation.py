"""CloudFormation: what MiniStack drops from a template without a word.

SAM turns HttpApi events into an OpenAPI document in ``AWS::ApiGatewayV2::Api.Body``; MiniStack
ignores it and answers 404 on every route. It also ignores a table's time to live and
point-in-time recovery. Both are done here when the resource is created or updated, so that the
template needs no change and an update leaves the API's id alone.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ministack.services import apigateway, dynamodb
from ministack.services.cloudformation import provisioners

from millrace_local.launcher.patching import verified

if TYPE_CHECKING:
    from collections.abc import Callable

type Properties = dict[str, Any]
type Provisioned = tuple[str, dict[str, Any]]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
ANY_METHOD = "x-amazon-apigateway-any-method"


def import_body(api_id: str, body: dict[str, Any]) -> None:
    """Give the API exactly the routes, integrations and authorizers of an OpenAPI document."""
    for store in (apigateway._routes, apigateway._integrations, apigateway._authorizers):
        store[api_id] = {}
    schemes = (body.get("components") or {}).get("securitySchemes") or {}
    authorizers = {
        name: _created(apigateway._create_authorizer(api_id, _authorizer(name, scheme)))
        for name, scheme in schemes.items()
        if "x-amazon-apigateway-authorizer" in scheme
    }
    for path, methods in (body.get("paths") or {}).items():
        for method, operation in methods.items():
            if method in METHODS or method == ANY_METHOD:
                security = operation.get("security", body.get("security") or [])
                route = _route(path, method) | _authorization(security, authorizers)
                integration = operation["x-amazon-apigateway-integration"]
                made = _created(apigateway._create_integration(api_id, _integration(integration)))
                route["target"] = f"integrations/{made['integrationId']}"
                _created(apigateway._create_route(api_id, route))


def _created(response: tuple[int, dict[str, str], bytes]) -> dict[str, Any]:
    status, _, body = response
    if status >= 400:  # noqa: PLR2004 - HTTP
        raise ValueError(f"HTTP API body: {body.decode()}")
    made: dict[str, Any] = json.loads(body)
    return made


def _route(path: str, method: str) -> dict[str, Any]:
    if path.lstrip("/") == "$default":
        return {"routeKey": "$default"}
    verb = "ANY" if method == ANY_METHOD else method.upper()
    return {"routeKey": f"{verb} {path}"}


def _authorization(
    security: list[dict[str, list[str]]], authorizers: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    for requirement in security:
        for name, scopes in requirement.items():
            if authorizer := authorizers.get(name):
                kind = "JWT" if authorizer["authorizerType"] == "JWT" else "CUSTOM"
                return {
                    "authorizationType": kind,
                    "authorizerId": authorizer["authorizerId"],
                    "authorizationScopes": scopes,
                }
    return {}


def _integration(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "integrationType": document["type"].upper(),
        "integrationUri": document["uri"],
        "integrationMethod": document.get("httpMethod", "POST"),
        "payloadFormatVersion": document.get("payloadFormatVersion", "2.0"),
        "timeoutInMillis": document.get("timeoutInMillis", 30_000),
    }


def _authorizer(name: str, scheme: dict[str, Any]) -> dict[str, Any]:
    document = scheme["x-amazon-apigateway-authorizer"]
    identity = document.get("identitySource") or []
    # OpenAPI has one string with commas where the API has a list.
    sources = identity.split(",") if isinstance(identity, str) else identity
    optional = (
        "authorizerUri",
        "authorizerPayloadFormatVersion",
        "authorizerResultTtlInSeconds",
        "enableSimpleResponses",
        "jwtConfiguration",
    )
    return {
        "name": name,
        "authorizerType": document["type"].upper(),
        "identitySource": [source.strip() for source in sources],
        **{key: document[key] for key in optional if key in document},
    }


def api_properties(properties: Properties, stack_name: str, logical_id: str) -> Properties:
    """Return the API's properties with what its body says, and with an id that lasts.

    The id depends on names only, so the URL a user noted works again after the state was removed.
    """
    body = properties.get("Body") or {}
    stable = hashlib.sha256(f"{stack_name}/{logical_id}".encode()).hexdigest()[:8]
    said: Properties = {"Tags": {"ms-custom-id": stable} | (properties.get("Tags") or {})}
    if title := (body.get("info") or {}).get("title"):
        said["Name"] = title
    if cors := body.get("x-amazon-apigateway-cors"):
        said["CorsConfiguration"] = cors
    return {**said, **{key: value for key, value in properties.items() if key != "Tags"}}


def create_api(logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
    """Create an HTTP API with its body."""
    given = api_properties(properties, stack_name, logical_id)
    made: Provisioned = provisioners._apigw_v2_api_create(logical_id, given, stack_name)
    if body := properties.get("Body"):
        import_body(made[0], body)
    return made


def update_api(
    physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str
) -> Provisioned:
    """Update an HTTP API and replace its routes by those of the new body."""
    made: Provisioned = provisioners._apigw_v2_api_update(
        physical_id,
        api_properties(old, stack_name, logical_id),
        api_properties(new, stack_name, logical_id),
        stack_name,
        logical_id,
    )
    if body := new.get("Body"):
        import_body(made[0], body)
    return made


def set_table_options(table: str, properties: Properties) -> None:
    """Set a table's time to live and point-in-time recovery to what the template says."""
    ttl = properties.get("TimeToLiveSpecification") or {}
    current = dynamodb._ttl_settings.get(table, {}).get("TimeToLiveStatus", "DISABLED")
    if ttl.get("Enabled", False) != (current == "ENABLED"):
        name = ttl.get("AttributeName") or dynamodb._ttl_settings[table]["AttributeName"]
        _accepted(
            dynamodb._update_ttl(
                {
                    "TableName": table,
                    "TimeToLiveSpecification": {
                        "AttributeName": name,
                        "Enabled": ttl.get("Enabled", False),
                    },
                }
            )
        )
    recovery = properties.get("PointInTimeRecoverySpecification") or {}
    enabled = recovery.get("PointInTimeRecoveryEnabled", False)
    _accepted(
        dynamodb._update_continuous_backups(
            {
                "TableName": table,
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": enabled},
            }
        )
    )


def _accepted(response: tuple[int, dict[str, str], bytes]) -> None:
    if response[0] >= 400:  # noqa: PLR2004 - HTTP
        raise ValueError(f"DynamoDB table: {response[2]!r}")


def create_table(logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
    """Create a table with its time to live and recovery."""
    made: Provisioned = provisioners._ddb_create(logical_id, properties, stack_name)
    set_table_options(made[0], properties)
    return made


def update_table(
    physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str
) -> Provisioned:
    """Update a table and its time to live and recovery."""
    made: Provisioned = provisioners._ddb_update(physical_id, old, new, stack_name, logical_id)
    set_table_options(made[0], new)
    return made


def cure() -> None:
    """Register the complete provisioners."""
    for name, digest in {
        "_apigw_v2_api_create": "0002e18b4198",
        "_apigw_v2_api_update": "d12d60c12ed7",
        "_ddb_create": "277586e016c6",
        "_ddb_update": "0665980ffdd0",
    }.items():
        verified(provisioners, name, digest)
    handlers: dict[str, dict[str, Callable[..., Any]]] = provisioners._RESOURCE_HANDLERS
    handlers["AWS::ApiGatewayV2::Api"] |= {"create": create_api, "update": update_api}
    handlers["AWS::DynamoDB::Table"] |= {"create": create_table, "update": update_table}

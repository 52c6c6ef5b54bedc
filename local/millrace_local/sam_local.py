"""The environment file by which `sam local invoke` reaches the local stack."""

import json
from pathlib import Path

from millrace_local.config import Config


def write_environment(config: Config) -> Path:
    """Write `.local/env.json`: the deployed functions' own variables, and the stack's endpoint.

    sam passes a variable only to functions whose template declares it, so one list serves all.
    """
    functions = config.session().client("lambda", endpoint_url=config.endpoint)
    variables: dict[str, str] = {}
    for page in functions.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            variables |= function.get("Environment", {}).get("Variables", {})
    ours = {name: value for name, value in variables.items() if name.startswith("MILLRACE_")}
    path = config.state / "env.json"
    content = {"Parameters": ours | {"MILLRACE_ENDPOINT_URL": config.endpoint}}
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    return path

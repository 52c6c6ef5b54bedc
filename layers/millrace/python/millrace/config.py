"""The environment, read in this one place and only when asked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Config:
    """What template.yaml tells the functions. A function's role allows only what it needs."""

    table: str
    bucket: str
    secrets_prefix: str
    key_arn: str
    """Of the key that secrets are encrypted with; who only reads them need not know it."""
    machine_arn_prefix: str
    machine_role_arn: str
    run_step_arn: str
    lifecycle_arn: str
    schedule_group: str
    schedule_role_arn: str
    schedule_dead_letters_arn: str
    trigger_arn: str
    queue_arn_prefix: str
    """What the ARN of each queue of the account begins with."""
    notify_machine_arn: str
    mail_sender: str
    target_prefix: str
    """Flows read and write buckets, tables and queues whose names begin with it."""
    endpoint_url: str
    """Empty on AWS; `sam local` sets the local stack's, since it passes declared variables only."""
    allowed_networks: str
    """JSON of the networks that are not public, and that requests may go to all the same."""
    runtime_api: str
    """Where a function gets its events, which Lambda itself says; no request may go there."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read `MILLRACE_...`; what a function does not need is left empty in its environment."""
        names = cls.__dataclass_fields__
        ours = {name: environment.get(f"MILLRACE_{name.upper()}", "") for name in names}
        return cls(**ours | {"runtime_api": environment.get("AWS_LAMBDA_RUNTIME_API", "")})

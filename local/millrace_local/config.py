"""Where the local stack keeps its things and how to reach it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import botocore.session
from botocore.config import Config as ClientConfig

HOST = "127.0.0.1"
REGION = "us-east-1"
DEFAULT_PORT = 4566
# Not secrets: MiniStack accepts any, and these can never be a real account's.
ACCESS_KEY = SECRET_KEY = "test"  # noqa: S105

# Nothing of the user's own AWS set-up may reach the local stack, nor the other way round.
ISOLATED_AWS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
}


@dataclass(frozen=True, slots=True)
class Config:
    """One local stack: its project, port and directories.

    Two stacks with different ports and state directories do not see each other. ``sources`` are
    the directories that, with the template, decide whether there is anything to build or deploy.
    """

    root: Path
    state: Path
    environment: Path
    port: int = DEFAULT_PORT
    stack_name: str = "millrace"
    template: str = "template.yaml"
    sources: tuple[str, ...] = ("functions", "layers", "statemachines")
    lambda_workers: int = 12  # up to 70 MB each
    lambda_patience_seconds: float = 2.0
    enforces_policies: bool = True
    parameters: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_project(cls, root: Path) -> "Config":
        """Return the stack that ``make run`` uses; MILLRACE_PORT chooses another port."""
        state = root / ".local"
        port = int(os.environ.get("MILLRACE_PORT", DEFAULT_PORT))
        return cls(root=root, state=state, environment=state / "ministack", port=port)

    @property
    def endpoint(self) -> str:
        """The URL that takes the place of every AWS endpoint."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """The stack's log: MiniStack's own lines and what the functions print."""
        return self.state / "stack.log"

    @property
    def pid_file(self) -> Path:
        """Names the running process; see :mod:`millrace_local.stack`."""
        return self.state / "stack.json"

    def session(self) -> boto3.Session:
        """Return a session that reads no file and no profile of the user."""
        isolated = botocore.session.Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        # StartSyncExecution would go to a host named sync-127.0.0.1.
        isolated.set_default_client_config(ClientConfig(inject_host_prefix=False))
        return boto3.Session(
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            botocore_session=isolated,
        )

    def child_environment(self) -> dict[str, str]:
        """Return the environment for programs that should see this stack as AWS."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "PYTHON"))
        }
        return inherited | ISOLATED_AWS | {"AWS_ENDPOINT_URL": self.endpoint}

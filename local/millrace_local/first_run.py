"""What `make run` does: the stack up, a workspace and token, both examples, and where to look."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from millrace_local.config import Config
from millrace_local.errors import LocalStackError
from millrace_local.examples.run import run_examples
from millrace_local.lifecycle import Stack, down, up
from millrace_local.sam_local import write_environment


def first_run(config: Config, say: Callable[[str], None]) -> bool:
    """Bring everything up and run the examples; True if each did what it should.

    The stack stays up either way, so that one can look at what went wrong. Only Ctrl-C stops it,
    if this call started it.
    """
    since = time.monotonic()
    stack = up(config, say)
    try:
        return _run_examples(config, stack, since, say)
    except KeyboardInterrupt:
        if stack.started:
            down(config)
        raise


def _run_examples(config: Config, stack: Stack, since: float, say: Callable[[str], None]) -> bool:
    if stack.api_url is None:
        raise LocalStackError("the template has no HTTP API, so there is nothing to call")
    token = ensure_token(stack, stack.api_url)
    write_environment(config)
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stack.phases.items())
    say(f"API at {stack.api_url} after {time.monotonic() - since:.1f} s ({phases})")
    passed = run_examples(stack.api_url, token, Console(highlight=False))
    say(_sizes(config))
    say(_farewell(config, stack.api_url))
    if not passed:
        say("An example did not do what it should: see the lines marked above and the log.")
    return passed


def ensure_token(stack: Stack, api_url: str) -> str:
    """The token in `.local/millrace.json`, where the command line finds it, or a new one."""
    settings = stack.config.state / "millrace.json"
    table = stack.outputs["TableName"]
    if settings.exists():
        known = json.loads(settings.read_text())
        if known.get("table") == table and known.get("url") == api_url:
            return str(known["token"])
    millrace = Path(sys.executable).with_name("millrace")
    done = subprocess.run(  # noqa: S603 - our own program
        [millrace, "init", "--table", table, "--workspace", "local", "--json"],
        env=stack.config.child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LocalStackError(f"making a workspace and token failed: {done.stderr.strip()}")
    token = str(json.loads(done.stdout)["token"])
    content = json.dumps({"url": api_url, "token": token, "table": table}, indent=2)
    settings.touch(mode=0o600)  # it holds a credential, even if only for this machine
    settings.write_text(content + "\n")
    return token


def _sizes(config: Config) -> str:
    """How much code a function brings, zipped, and the layers beside it."""
    functions = config.session().client("lambda", endpoint_url=config.endpoint)
    deployed = functions.list_functions()["Functions"]
    largest = max(function["CodeSize"] for function in deployed)
    layers = {
        layer["Arn"]: layer["CodeSize"] for function in deployed for layer in function["Layers"]
    }
    sizes = " and ".join(f"{size / 1e6:.1f}" for size in layers.values())
    return f"\nZipped: functions up to {largest:,} bytes, layers {sizes} MB"


def _farewell(config: Config, api_url: str) -> str:
    return f"""
The stack is up in the background.
  call it:   .venv/bin/millrace flows list
             curl -H "Authorization: Bearer $(.venv/bin/python -c \\
               'import json; print(json.load(open(".local/millrace.json"))["token"])')" \\
               {api_url}/v1/flows
  its docs:  {api_url}/docs
  its log:   make log   ({config.log})
  stop it:   make stop  (flows, runs and tokens stay)"""

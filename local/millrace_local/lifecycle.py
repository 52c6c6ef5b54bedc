"""Bring the whole local AWS up and down: what ``make run``, ``make stop`` and the tests call."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from millrace_local import stack
from millrace_local.config import Config
from millrace_local.deploy import deploy
from millrace_local.errors import LocalStackError


@dataclass(frozen=True, slots=True)
class Stack:
    """A local AWS with the template deployed.

    ``phases`` are seconds by name; ``started`` tells whether the call that returned this started
    it, rather than found it up.
    """

    config: Config
    outputs: dict[str, str]
    api_url: str | None
    phases: dict[str, float]
    started: bool = False

    @property
    def endpoint(self) -> str:
        """The URL that takes the place of every AWS endpoint."""
        return self.config.endpoint


def up(config: Config, report: Callable[[str], None] = lambda _line: None) -> Stack:
    """Start the stack unless it is up, deploy the template, and return how to reach it.

    When anything fails, or on Ctrl-C, a stack that this call started is stopped again; one that
    was up before stays up.
    """
    phases: dict[str, float] = {}
    with stack.exclusive(config):
        since = time.monotonic()
        started = stack.ensure_started(config)
        phases["start"] = time.monotonic() - since
        report("local stack started" if started else "local stack is already up")
        try:
            since = time.monotonic()
            deployed = deploy(config)
            phases["deploy"] = time.monotonic() - since
        except BaseException:
            if started:
                with contextlib.suppress(LocalStackError):  # the first failure is the one to report
                    stack.stop(config)
            raise
        report("template deployed" if deployed.changed else "template is deployed, nothing changed")
    api_url = None
    if deployed.api_id is not None:
        # Names like {api}.execute-api.localhost do not resolve everywhere; a path always works.
        api_url = f"{config.endpoint}/_aws/execute-api/{deployed.api_id}"
    return Stack(config, deployed.outputs, api_url, phases, started)


def down(config: Config) -> bool:
    """Stop the stack, keeping its state for the next start; tell whether it was up."""
    with stack.exclusive(config):
        return stack.stop(config)

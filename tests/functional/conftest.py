"""The stack in process: the real functions over moto, and two workspaces that use it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

import pytest
from tests.support.app import (
    FUNCTIONS,
    Client,
    FunctionName,
    Handler,
    LambdaContext,
    event,
    load_handler,
)
from tests.support.aws import create_stack, simulated_aws

from millrace.config import Config
from millrace.domain.token import Caller, TokenInput
from millrace.observability import Observed
from millrace.tasks import Lifecycle
from millrace.usecases.context import Context
from millrace.usecases.tokens import create_token, create_workspace
from millrace.wiring import aws_context


@dataclass(frozen=True)
class Stack:
    """The deployed functions, and a context of the test's own to look behind them."""

    functions: dict[FunctionName, Handler]
    context: Context

    def client(self, name: str) -> Client:
        """A client with a token of a new workspace."""
        workspace = create_workspace(self.context, name)
        owner = Caller(workspace_id=workspace.id, token_id="bootstrap")
        _, text = create_token(self.context, owner, TokenInput(name="test", role="admin"))
        return Client(self.functions["api"], self.functions["authorizer"], text)


def deployed_stack() -> Stack:
    """The stack as a deploy leaves it; called within simulated AWS."""
    create_stack()
    functions = {name: load_handler(name) for name in FUNCTIONS}
    return Stack(functions, aws_context(Config.from_environment()))


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack whose state machines are created and started, but not interpreted."""
    with simulated_aws():
        yield deployed_stack()


@pytest.fixture
def alice(stack: Stack) -> Client:
    """Who owns what most tests look at."""
    return stack.client("Alice")


@pytest.fixture
def mallory(stack: Stack) -> Client:
    """Who has a valid token for another workspace."""
    return stack.client("Mallory")


@pytest.fixture
def sweep(stack: Stack) -> Callable[[], int]:
    """Has the sweeper come five minutes from now; how many runs it repaired."""

    def sweep_later() -> int:
        later = replace(stack.context, clock=lambda: stack.context.clock() + timedelta(minutes=5))
        function = cast("Handler", Observed("lifecycle", Lifecycle(later)))
        repaired: int = function(event("lifecycle_sweep"), LambdaContext())["repaired"]
        return repaired

    return sweep_later

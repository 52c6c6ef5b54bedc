"""The shapes of Amazon States Language that machines use, so that mypy checks the emitter."""

from typing import Literal, NotRequired, TypedDict

type Payload = dict[str, str | bool | list[str]]


class Retrier(TypedDict):
    """When and how often a failed Task is tried again."""

    ErrorEquals: list[str]
    IntervalSeconds: NotRequired[int]
    BackoffRate: NotRequired[float]
    MaxDelaySeconds: NotRequired[int]
    JitterStrategy: NotRequired[Literal["FULL"]]
    MaxAttempts: int


class Catcher(TypedDict):
    """Where a failed state's execution goes on."""

    ErrorEquals: list[str]
    ResultPath: str | None
    Next: str


class InvokeParameters(TypedDict):
    """What `lambda:invoke` takes."""

    FunctionName: str
    Payload: Payload


class Task(TypedDict):
    """Calls a function."""

    Type: Literal["Task"]
    Resource: str
    Parameters: InvokeParameters
    TimeoutSeconds: int
    ResultPath: str | None
    Retry: NotRequired[list[Retrier]]
    Catch: NotRequired[list[Catcher]]
    Next: NotRequired[str]
    End: NotRequired[Literal[True]]


class Parallel(TypedDict):
    """Forks into branches and joins them."""

    Type: Literal["Parallel"]
    Branches: list["Branch"]
    ResultPath: str | None
    Catch: NotRequired[list[Catcher]]
    Next: NotRequired[str]
    End: NotRequired[Literal[True]]


class Pass(TypedDict):
    """Shapes the state's data without calling anything."""

    Type: Literal["Pass"]
    Parameters: dict[str, str | bool | list[str] | Payload]
    Next: str


Pass.__doc__ = "Shapes the state's data without calling anything."


class Wait(TypedDict):
    """Holds the execution, at no cost, until a time or for a while."""

    Type: Literal["Wait"]
    TimestampPath: NotRequired[str]
    SecondsPath: NotRequired[str]
    OutputPath: NotRequired[str]
    Next: str


class Test(TypedDict):
    """One condition of a choice."""

    Variable: str
    IsPresent: NotRequired[bool]
    BooleanEquals: NotRequired[bool]


class ChoiceRule(TypedDict):
    """Conditions that must all hold, and where to go then."""

    And: list[Test]
    Next: str


class Choice(TypedDict):
    """Branches on data."""

    Type: Literal["Choice"]
    Choices: list[ChoiceRule]
    Default: str


class Fail(TypedDict):
    """Ends its scope as failed."""

    Type: Literal["Fail"]
    Error: str
    Cause: str


class Succeed(TypedDict):
    """Ends its scope."""

    Type: Literal["Succeed"]


type State = Task | Parallel | Pass | Wait | Choice | Fail | Succeed


class Branch(TypedDict):
    """A scope of states: a branch of a Parallel, or what a machine consists of."""

    StartAt: str
    States: dict[str, State]


class Machine(Branch):
    """A whole definition."""

    Comment: str
    TimeoutSeconds: NotRequired[int]

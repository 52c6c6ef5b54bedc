"""The words that the compiler's stages share: a flow's graph going in, findings coming out."""

from dataclasses import dataclass, field
from typing import Literal

type StepType = Literal["Export", "Process", "Import", "Flow"]
type Strategy = Literal["stop", "continue"]
type MachineType = Literal["STANDARD", "EXPRESS"]

MAX_STEPS = 200
MAX_NAME_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Retry:
    """How a step's transient errors are tried again.

    `max_attempts` is the number of *further* tries after the first, exactly as MaxAttempts in the
    Amazon States Language: the default of 3 with 2 s and rate 2 waits about 2, 4 and 8 seconds
    (each shortened at random when `jitter` is set). 0 turns retries off. `max_delay_seconds` caps a
    single wait; unset, it is 300 s, or no cap where the first wait is already that long.
    """

    max_attempts: int = 3
    interval_seconds: int = 2
    backoff_rate: float = 2.0
    max_delay_seconds: int | None = None
    jitter: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the graph; `name` is what the console shows and defaults to the id.

    `timeout_seconds` left out means the longest time the step's type allows (see `emit`).
    """

    id: str
    name: str | None = None
    type: StepType = "Process"
    depends_on: tuple[str, ...] = ()
    is_skipped: bool = False
    on_failure: Strategy = "stop"
    on_partial_success: Strategy = "continue"
    retry: Retry = field(default_factory=Retry)
    timeout_seconds: int | None = None

    @property
    def label(self) -> str:
        """The name to show, which is the id when the author gave none."""
        return self.id if self.name is None else self.name


@dataclass(frozen=True, slots=True)
class FlowRetry:
    """How often and how far apart a failed flow runs again as a whole (0 attempts: never)."""

    max_attempts: int = 0
    delay_minutes: int = 0
    exponential: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """A version's graph and the flow settings that change the machine."""

    steps: tuple[Step, ...]
    is_synchronous: bool = False
    flow_retry: FlowRetry = field(default_factory=FlowRetry)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a flow: what is wrong, where (a JSON pointer), and what to do about it."""

    code: str
    pointer: str
    message: str
    remedy: str
    step: str | None = None

    def __str__(self) -> str:
        step = "" if self.step is None else f" (step {self.step!r})"
        return f"{self.code} at {self.pointer or '/'}{step}: {self.message} {self.remedy}"


class CompileError(Exception):
    """Refuses a flow with every finding at once, in the order of the document."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


def in_document_order(findings: list[Finding]) -> list[Finding]:
    """Sort findings by where they are, so that /steps/10 follows /steps/9."""

    def key(finding: Finding) -> tuple[list[tuple[int, str]], str, str]:
        tokens = finding.pointer.split("/")
        places = [(int(t), "") if t.isascii() and t.isdigit() else (-1, t) for t in tokens]
        return places, finding.code, finding.message

    return sorted(findings, key=key)

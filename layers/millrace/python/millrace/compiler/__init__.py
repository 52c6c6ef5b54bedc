"""Compiles a flow's graph of steps into one Step Functions state machine.

The stages, in order; each is a pure function of its input (no AWS, no clock, no unseeded chance):

| stage | module | input | output | must not |
|---|---|---|---|---|
| read | `read` | a decoded document | a `Definition`, or findings on its shape | raise, on any document |
| rules | `rules` | a `Definition` | findings on ids, dependencies, settings | stop at the first |
| graph | `graph` | steps that passed the rules | their order as bit masks, skipped ones contracted | judge or plan |
| durations | `durations` | the graph, seconds from past runs | an estimate for each step | affect correctness |
| plan | `plan` | the graph, the estimates | nested forks and series that honour the order | know of ASL |
| emit | `emit` | definition, graph, plan, ARNs | the machine as typed states | change the order |
| validate | `validate` | a finished definition | findings Step Functions would fail on | trust the stages before |

`compile_flow` runs them; `check` is the rules alone, for saving a draft; `explain` and `draw` are for
people's eyes.
"""

from millrace.compiler.draw import draw
from millrace.compiler.explain import explain
from millrace.compiler.model import (
    CompileError,
    Definition,
    Finding,
    FlowRetry,
    Retry,
    Step,
    Targets,
)
from millrace.compiler.pipeline import Compiled, compile_flow
from millrace.compiler.read import read_definition
from millrace.compiler.rules import check
from millrace.compiler.validate import validate_asl

__all__ = [
    "CompileError",
    "Compiled",
    "Definition",
    "Finding",
    "FlowRetry",
    "Retry",
    "Step",
    "Targets",
    "check",
    "compile_flow",
    "draw",
    "explain",
    "read_definition",
    "validate_asl",
]

"""Compiles a flow's graph of steps into one Step Functions state machine.

The stages, in order; each is a pure function of its input (no AWS, no clock, no unseeded chance):

1. `read`: a decoded document -> a `Definition`, or findings on its shape.
   Never raises, whatever the document. Beside it, `spelling` looks at the names of a file's fields
   and never at their values.
2. `rules`: a `Definition` -> findings on ids, names, dependencies, cycles, settings.
   Never stops at the first.
3. `graph`: steps that passed the rules -> their order as bit masks, skipped steps contracted.
   Neither judges nor plans.
4. `durations`: the graph, seconds from past runs -> each step's duration in sampled scenarios.
   Never changes what is correct, only what is fast.
5. `plan` (with `cuts`, `lanes`): graph, scenarios -> nested forks and series that honour the order.
   Knows nothing of the Amazon States Language.
6. `emit` (with `chains`, `states`): definition, graph, plan, ARNs -> the machine.
   Changes no order and drops no step.
7. `validate` (with `asl_fields`, `asl_choices`): a finished definition -> what would fail on AWS.
   Trusts none of the stages before.

`compile_flow` (`pipeline`) runs stages 2 to 7; `check` is the rules alone, for saving a draft;
`explain` and `draw` are for people's eyes.
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
    in_document_order,
)
from millrace.compiler.pipeline import Compiled, compile_flow
from millrace.compiler.read import read_definition, read_durations
from millrace.compiler.rules import check
from millrace.compiler.spelling import check_spelling
from millrace.compiler.validate import validate_asl
from millrace.targets import Targets

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
    "check_spelling",
    "compile_flow",
    "draw",
    "explain",
    "in_document_order",
    "read_definition",
    "read_durations",
    "validate_asl",
]

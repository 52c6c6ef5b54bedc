"""Which functions a state machine calls."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Targets:
    """The functions a machine calls: ARNs when deploying, placeholders in a preview."""

    run_step_arn: str = "${RunStepFunctionArn}"
    lifecycle_arn: str = "${LifecycleFunctionArn}"

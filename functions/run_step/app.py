"""The worker that state machines call for each step."""

from millrace.config import Config
from millrace.observability import Observed
from millrace.tasks import StepWorker
from millrace.wiring import aws_context

handler = Observed("run_step", StepWorker(aws_context(Config.from_environment())))

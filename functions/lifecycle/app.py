"""The ends of attempts and runs, and the sweeper."""

from millrace.config import Config
from millrace.observability import Observed
from millrace.tasks import Lifecycle
from millrace.wiring import aws_context

handler = Observed("lifecycle", Lifecycle(aws_context(Config.from_environment())))

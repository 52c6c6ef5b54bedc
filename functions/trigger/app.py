"""Schedules that fire."""

from millrace.config import Config
from millrace.observability import Observed
from millrace.tasks import ScheduleTrigger
from millrace.wiring import aws_context

handler = Observed("trigger", ScheduleTrigger(aws_context(Config.from_environment())))

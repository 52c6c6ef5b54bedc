"""Schedules that fire."""

from millrace.config import Config
from millrace.tasks import ScheduleTrigger
from millrace.wiring import aws_context

handler = ScheduleTrigger(aws_context(Config.from_environment()))

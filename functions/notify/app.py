"""Tries to deliver notifications."""

from millrace.config import Config
from millrace.tasks import NotificationTry
from millrace.wiring import aws_context, aws_messenger

_config = Config.from_environment()
handler = NotificationTry(aws_context(_config), aws_messenger(_config))

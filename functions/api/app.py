"""The control plane: /v1 and /docs behind the HTTP API."""

from millrace.config import Config
from millrace.http.api import Api
from millrace.observability import Observed
from millrace.wiring import aws_context

handler = Observed("api", Api(aws_context(Config.from_environment())))

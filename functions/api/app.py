"""The control plane: /v1 and /docs behind the HTTP API."""

from millrace.config import Config
from millrace.http.api import Api
from millrace.wiring import aws_context

handler = Api(aws_context(Config.from_environment()))

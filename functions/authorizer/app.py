"""Who may call the control plane."""

from millrace.config import Config
from millrace.http.authorizer import Authorizer
from millrace.observability import Observed
from millrace.wiring import IMPATIENT, aws_context

handler = Observed("authorizer", Authorizer(aws_context(Config.from_environment(), IMPATIENT)))

"""What S3 says at the end of a bad line: to slow down, that it is sorry, or half an object."""

from typing import Any, Final

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from chaos.lines import Send
from moto.core.botocore_stubber import MockRawResponse

_ERROR: Final = "<Error><Code>{}</Code><Message>{}</Message></Error>"
_OK: Final = 200


class S3:
    """The bucket's end of the line."""

    name = "s3"
    reads = frozenset({"GetObject", "HeadObject"})
    throttled = (503, _ERROR.format("SlowDown", "Please reduce your request rate."))
    broken = (500, _ERROR.format("InternalError", "We encountered an internal error."))

    def kinds(self, operation: str) -> tuple[str, ...]:
        """What else may become of an operation."""
        return ("cut off",) if operation == "GetObject" else ()

    def met(self, _: str, request: AWSPreparedRequest, send: Send) -> AWSResponse | None:
        """The connection breaks in the middle of an object, of whose length botocore was told."""
        came = send()
        if came is None or came.status_code != _OK:
            return came
        whole = came.content
        raw: Any = MockRawResponse(whole[: len(whole) // 2])
        headers = HTTPHeaders()
        headers["content-length"] = str(len(whole))
        return AWSResponse(request.url, came.status_code, headers, raw)

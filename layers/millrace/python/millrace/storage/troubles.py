"""Trouble of the moment: a store that is throttled, or cannot be reached, when the client gave up.

It is told apart where all requests pass, so that no call of an adapter can forget it. What will not
pass, such as a missing permission, stays what botocore makes of it.
"""

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.exceptions import HTTPClientError

from millrace.domain.errors import UnavailableError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from botocore.client import BaseClient

_SERVER_ERROR: Final = 500
_THROTTLES: Final = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "TooManyRequestsException",
    "TooManyUpdates",
    "TransactionInProgressException",
}


def telling_troubles[C: BaseClient](client: C) -> C:
    """The client, each of whose requests raises UnavailableError if it may succeed later.

    What such a request was to write may have been written or not.
    """
    client.meta.events.register("after-call", _on_answer)
    client.meta.events.register("after-call-error", _on_no_answer)
    return client


def _on_answer(http_response: "AWSResponse", parsed: dict[str, Any], **_: object) -> None:
    code = str(parsed.get("Error", {}).get("Code", ""))
    if http_response.status_code >= _SERVER_ERROR or "Throttl" in code or code in _THROTTLES:
        raise UnavailableError("the store is busy; try again")


def _on_no_answer(exception: Exception, **_: object) -> None:
    if isinstance(exception, HTTPClientError | NoConnectionError):
        raise UnavailableError("the store cannot be reached just now; try again") from exception

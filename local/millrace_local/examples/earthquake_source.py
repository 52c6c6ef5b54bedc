"""The earthquake feed as a paginated API, honest about its data but not always up."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from millrace_local.examples.loopback import Answer, Fault, FaultPlan, Request, refusal

PORT = 4571
_SEED = 20180207
_LIMIT_MAX = 500


class EarthquakeSource:
    """`GET /features?offset=0&limit=100` gives `{features: [...], next: address or absent}`.

    `served` counts the pages that were answered with data, `plan.dealt` the faults before them.
    """

    def __init__(self, features: Sequence[dict[str, Any]], plan: FaultPlan | None = None) -> None:
        self._features = features
        self.plan = plan or FaultPlan(
            _SEED, [Fault.UNAVAILABLE, Fault.THROTTLED, Fault.RESET], good=6
        )
        self.served = 0

    def respond(self, request: Request) -> Answer:
        """Answer one request."""
        if (request.method, request.path) != ("GET", "/features"):
            return Answer(404, {"error": f"there is only GET /features, not {request.path}"})
        try:
            offset = int(request.query.get("offset", "0"))
            limit = int(request.query.get("limit", "100"))
        except ValueError:
            return Answer(400, {"error": "offset and limit are whole numbers"})
        if offset < 0 or not 1 <= limit <= _LIMIT_MAX:
            return Answer(400, {"error": f"offset is not negative, limit is 1 to {_LIMIT_MAX}"})
        if fault := self.plan.draw((offset, limit)):
            return refusal(fault)
        self.served += 1
        page: dict[str, Any] = {
            "type": "FeatureCollection",
            "features": self._features[offset : offset + limit],
        }
        if offset + limit < len(self._features):
            following = urlencode({"offset": offset + limit, "limit": limit})
            page["next"] = f"/features?{following}"
        return Answer(200, page)

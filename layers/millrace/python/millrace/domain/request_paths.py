"""Paths of requests, as connections and actions write them."""

from typing import Annotated

from pydantic import Field, StringConstraints

Path = Annotated[
    str,
    StringConstraints(pattern=r"^/[^\s#]*$", max_length=2_048),
    Field(description="Appended to the connection's baseUrl."),
]

RequestPath = Annotated[
    str,
    StringConstraints(pattern=r"^/(\{\{[\s\S]*?\}\}|[^\s#])*$", max_length=2_048),
    Field(
        description="Appended to the connection's baseUrl. May hold expressions, as may the values "
        "of query and headers: `/items/{{ parameters.sku }}`."
    ),
]

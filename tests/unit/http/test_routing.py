"""The table of routers: each route is reached by its path, and nothing else is built for it."""

from typing import cast

import pytest
from tests.support.world import World

from millrace.http.routing import CHANGING, ROUTERS, make_router, router_of


@pytest.mark.parametrize("name", dict.fromkeys([*ROUTERS.values(), *CHANGING.values()]))
def test_each_route_is_found_by_its_path(name: str) -> None:
    """A route that the table leads elsewhere would be documented, and answered 404."""
    router = make_router(name, World().context)
    assert router._routes
    for rule, methods, *_ in cast("list[tuple[str, tuple[str]]]", list(router._routes)):
        assert {router_of(method, rule) for method in methods} == {name}, rule


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/nothing", "/v2/flows", "/hooks/wh_1"])
def test_a_path_that_begins_like_no_row_has_no_router(path: str) -> None:
    """So nothing is built to answer 404."""
    assert router_of("GET", path) is None

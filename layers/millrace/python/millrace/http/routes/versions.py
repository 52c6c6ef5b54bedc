"""/v1/flows/{flowId}/versions."""

from http import HTTPStatus
from typing import Annotated, Any, ClassVar

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.base import Model, Moment
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    RevisionMismatchError,
    TooLargeError,
)
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.pages import link_header, links_of
from millrace.http.queries import VersionShown, VersionsQuery
from millrace.http.requests import IfMatch, Page, answer, caller_of, etag_of, revision_of
from millrace.http.roles import needs
from millrace.http.sent_back import SentBack
from millrace.http.shown import ShownVersion, chosen_answer, list_answer, show
from millrace.http.views import VersionView
from millrace.usecases import deploy, flows, versions
from millrace.usecases.context import Context
from millrace.usecases.includes.include import include_in_versions
from millrace.usecases.includes.relation import Node
from millrace.usecases.lists import Part


class NewVersion(Model):
    """Which version a new draft begins from; absent: the latest."""

    version_id: str | None = None


class VersionChange(SentBack):
    """What may change of a version: a time deploys it, null undeploys it."""

    shown: ClassVar[type[Model]] = VersionView

    deployed_at: Moment | None


def versions_router(context: Context) -> APIGatewayHttpRouter:
    """The routes of versions."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows/<flow_id>/versions",
        tags=["versions"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError, TooLargeError, shows=Page[ShownVersion]),
    )
    def list_versions(flow_id: str, query: Annotated[VersionsQuery, Query()]) -> Response[Any]:
        event = router.current_event.raw_event
        caller = caller_of(event)
        flow, listing = flows.list_versions(
            context,
            caller,
            flow_id,
            query.per_page,
            query.cursor,
            newest_first=query.newest_first,
            page=query.page or 1,
        )
        nodes = include_in_versions(context, caller, flow, listing.items, query.included)
        part = Part(listing.items, listing.cursor, flow.versions_count)
        links, meta = links_of(event, query, part)
        shown = [
            show(node, caller, query.chosen, VersionView.of(version))
            for node, version in zip(nodes, listing.items, strict=True)
        ]
        return list_answer(shown, links, meta, link_header(links))

    @router.get(
        "/v1/flows/<flow_id>/versions/<version_id>",
        tags=["versions"],
        security=needs("viewer"),
        responses=answers(HTTPStatus.OK, NotFoundError, TooLargeError, shows=ShownVersion),
    )
    def get_version(
        flow_id: str, version_id: str, query: Annotated[VersionShown, Query()]
    ) -> Response[Any]:
        event = router.current_event.raw_event
        caller = caller_of(event)
        version = flows.get_version(context, caller, flow_id, version_id)
        node = Node(version)
        if query.include is not None:
            flow = flows.get_flow(context, caller, flow_id)
            (node,) = include_in_versions(context, caller, flow, [version], query.included)
        view = VersionView.of(version)
        return chosen_answer(show(node, caller, query.chosen, view), etag_of(version))

    @router.put(
        "/v1/flows/<flow_id>/versions/<version_id>",
        tags=["versions"],
        security=needs("editor"),
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def change_version(
        flow_id: str, version_id: str, change: VersionChange, if_match: IfMatch = None
    ) -> Response[VersionView]:
        caller = caller_of(router.current_event)
        act = deploy.undeploy_version if change.deployed_at is None else deploy.deploy_version
        version = act(context, caller, flow_id, version_id, revision_of(if_match))
        return answer(VersionView.of(version), version)

    @router.post(
        "/v1/flows/<flow_id>/versions",
        tags=["versions"],
        security=needs("editor"),
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, NotFoundError, ConflictError),
    )
    def create_version(flow_id: str, given: NewVersion | None = None) -> Response[VersionView]:
        caller = caller_of(router.current_event)
        source = None if given is None else given.version_id
        draft = versions.create_draft(context, caller, flow_id, source)
        return answer(VersionView.of(draft), draft, HTTPStatus.CREATED)

    @router.delete(
        "/v1/flows/<flow_id>/versions/<version_id>",
        tags=["versions"],
        security=needs("editor"),
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH, ConflictError),
    )
    def delete_version(flow_id: str, version_id: str, if_match: IfMatch = None) -> Response[None]:
        caller = caller_of(router.current_event)
        versions.delete_version(context, caller, flow_id, version_id, revision_of(if_match))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @router.post(
        "/v1/flows/<flow_id>/versions/<version_id>/copy",
        tags=["versions"],
        security=needs("editor"),
        responses=answers(HTTPStatus.CREATED, NotFoundError, ConflictError),
    )
    def copy_version(flow_id: str, version_id: str) -> Response[VersionView]:
        caller = caller_of(router.current_event)
        draft = versions.create_draft(context, caller, flow_id, version_id)
        return answer(VersionView.of(draft), draft, HTTPStatus.CREATED)

    @router.post(
        "/v1/flows/<flow_id>/versions/<version_id>/rollback",
        tags=["versions"],
        security=needs("editor"),
        responses=answers(HTTPStatus.OK, NotFoundError, RevisionMismatchError, ConflictError),
    )
    def roll_back(flow_id: str, version_id: str) -> Response[VersionView]:
        caller = caller_of(router.current_event)
        version = versions.roll_back(context, caller, flow_id, version_id)
        return answer(VersionView.of(version), version)

    return router

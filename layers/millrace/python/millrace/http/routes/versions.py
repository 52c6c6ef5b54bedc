"""/v1/flows/{flowId}/versions."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.base import Model, Moment
from millrace.domain.errors import ConflictError, NotFoundError, RevisionMismatchError
from millrace.domain.ports import Listing
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.requests import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    answer,
    caller_of,
    page,
    revision_of,
)
from millrace.http.views import VersionView
from millrace.usecases import deploy, flows, versions
from millrace.usecases.context import Context


class NewVersion(Model):
    """Which version a new draft begins from; absent: the latest."""

    version_id: str | None = None


class VersionChange(Model):
    """What may change of a version: a time deploys it, null undeploys it."""

    deployed_at: Moment | None


def versions_router(context: Context) -> APIGatewayHttpRouter:
    """The routes of versions."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows/<flow_id>/versions",
        tags=["versions"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_versions(
        flow_id: str, per_page: Limit = 25, cursor: Cursor = None
    ) -> Page[VersionView]:
        caller = caller_of(router.current_event)
        listing = flows.list_versions(context, caller, flow_id, per_page, cursor)
        views = tuple(VersionView.of(version) for version in listing.items)
        return page(f"/v1/flows/{flow_id}/versions", Listing(views, listing.cursor), per_page)

    @router.get(
        "/v1/flows/<flow_id>/versions/<version_id>",
        tags=["versions"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_version(flow_id: str, version_id: str) -> Response[VersionView]:
        version = flows.get_version(context, caller_of(router.current_event), flow_id, version_id)
        return answer(VersionView.of(version), version)

    @router.put(
        "/v1/flows/<flow_id>/versions/<version_id>",
        tags=["versions"],
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
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH, ConflictError),
    )
    def delete_version(flow_id: str, version_id: str, if_match: IfMatch = None) -> Response[None]:
        caller = caller_of(router.current_event)
        versions.delete_version(context, caller, flow_id, version_id, revision_of(if_match))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @router.post(
        "/v1/flows/<flow_id>/versions/<version_id>/copy",
        tags=["versions"],
        responses=answers(HTTPStatus.CREATED, NotFoundError, ConflictError),
    )
    def copy_version(flow_id: str, version_id: str) -> Response[VersionView]:
        caller = caller_of(router.current_event)
        draft = versions.create_draft(context, caller, flow_id, version_id)
        return answer(VersionView.of(draft), draft, HTTPStatus.CREATED)

    @router.post(
        "/v1/flows/<flow_id>/versions/<version_id>/rollback",
        tags=["versions"],
        responses=answers(HTTPStatus.OK, NotFoundError, RevisionMismatchError, ConflictError),
    )
    def roll_back(flow_id: str, version_id: str) -> Response[VersionView]:
        caller = caller_of(router.current_event)
        version = versions.roll_back(context, caller, flow_id, version_id)
        return answer(VersionView.of(version), version)

    return router

"""The relations of flows, versions and steps."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from millrace.domain.action import Action, ActionWork, ExportAction, ImportAction
from millrace.domain.callback import Callback
from millrace.domain.connection import Connection
from millrace.domain.flow import Flow, Version
from millrace.domain.label import Label
from millrace.domain.notification_group import NotificationGroup
from millrace.domain.ports import Ref
from millrace.domain.resource import Resource
from millrace.domain.step import Step
from millrace.domain.token import Token
from millrace.domain.webhook import Webhook
from millrace.usecases.includes.parts import (
    Deployment,
    EndpointOf,
    FilterOf,
    ScheduleOf,
    SystemOf,
    User,
)
from millrace.usecases.includes.relation import Loading, Node, Relation, RunOf, Scope, Value
from millrace.usecases.schedules import schedules_of

type _Load = Callable[[Scope, Node], Loading[Value]]


def _nothing(_: Scope, __: Node) -> Loading[Value]:
    """Of what Millrace has nothing for."""
    yield from ()
    return None


def _one(ref: Callable[[Node], Ref[Any] | None]) -> _Load:
    def load(_: Scope, node: Node) -> Loading[Value]:
        wanted = ref(node)
        if wanted is None:
            return None
        loaded = yield (wanted,)
        return loaded.found.get(wanted)

    return load


def _several(refs: Callable[[Node], list[Ref[Any]]]) -> _Load:
    def load(_: Scope, node: Node) -> Loading[Value]:
        wanted = refs(node)
        loaded = yield wanted
        return [each for ref in wanted if (each := loaded.found.get(ref)) is not None]

    return load


def _made(make: Callable[[Node], Value]) -> _Load:
    """What follows from the thing itself."""

    def load(_: Scope, node: Node) -> Loading[Value]:
        yield from ()
        return make(node)

    return load


def _version(id_of: Callable[[Flow], str | None]) -> _Load:
    def ref(node: Node) -> Ref[Version] | None:
        version_id = id_of(node.of(Flow))
        return None if version_id is None else Ref(Version, version_id, node.of(Flow).id)

    return _one(ref)


def _versions(scope: Scope, node: Node) -> Loading[Value]:
    if scope.versions is not None:
        return scope.versions(node.of(Flow))
    load = _several(
        lambda node: [
            Ref(Version, id_, node.of(Flow).id) for id_ in node.of(Flow).recent_version_ids
        ]
    )
    return (yield from load(scope, node))


def _listed(kind: type[Resource], ids: Callable[[Flow], tuple[str, ...]]) -> Relation:
    """Resources whose ids the flow lists."""
    return Relation(
        _several(lambda node: [Ref(kind, id_) for id_ in ids(node.of(Flow))]),
        many=True,
        count=lambda node: len(ids(node.of(Flow))),
    )


def _child(kind: type[Resource], ids: Callable[[Flow], tuple[str, ...]]) -> Relation:
    """Resources of the flow, whose ids it lists."""
    return Relation(
        _several(lambda node: [Ref(kind, id_, node.of(Flow).id) for id_ in ids(node.of(Flow))]),
        many=True,
        count=lambda node: len(ids(node.of(Flow))),
    )


def _user(id_of: Callable[[Node], str | None]) -> _Load:
    """The token of an id; one that is gone has lost its name."""

    def load(_: Scope, node: Node) -> Loading[Value]:
        token_id = id_of(node)
        if token_id is None:
            return None
        ref = Ref(Token, token_id)
        loaded = yield (ref,)
        token = loaded.found.get(ref)
        return User(id=token_id, name=None if token is None else token.name)

    return load


def _deployed_by(node: Node) -> str | None:
    """Deploying is the last change of a version that is deployed."""
    version = node.of(Version)
    return None if version.deployed_at is None else version.modified_by


def _latest_run(_: Scope, node: Node) -> Loading[Value]:
    version_id = node.of(Version).id
    loaded = yield (RunOf(node.of(Flow), version_id),)
    return loaded.runs.get(version_id)


def _runs(scope: Scope, node: Node) -> Loading[Value]:
    yield from ()
    return None if scope.runs is None else scope.runs(node.of(Version))


def _work(step: Step) -> Loading[tuple[str, ActionWork | None]]:
    """What a step does, and its name; the action may have to be read."""
    name = step.name or step.id
    if step.action is not None or step.referrer is None:
        return name, step.action
    ref = Ref(Action, step.referrer)
    loaded = yield (ref,)
    action = loaded.found.get(ref)
    return (name, None) if action is None else (action.name, action.work)


def _connector(_: Scope, node: Node) -> Loading[Value]:
    """The connection of the step's action."""
    work = (yield from _work(node.of(Step)))[1]
    connection_id: str | None = getattr(work, "connection_id", None)
    if connection_id is None:
        return None
    ref = Ref(Connection, connection_id)
    loaded = yield (ref,)
    return loaded.found.get(ref)


def _system(node: Node) -> Value:
    connection = node.of(Connection)
    told = connection.system
    return SystemOf(
        name=connection.name if told is None else told.name,
        label=None if told is None else told.label,
        protocol="HTTP" if told is None else told.protocol,
        base_url=connection.base_url,
    )


def _endpoints(_: Scope, node: Node) -> Loading[Value]:
    """That of the system which the step's action calls over HTTP."""
    name, work = yield from _work(node.of(Step))
    if not isinstance(work, ExportAction | ImportAction) or (http := work.http) is None:
        return []
    return [EndpointOf(name=name, direction=work.type, http_method=http.method, path=http.path)]


def _schedules(node: Node) -> list[ScheduleOf]:
    """Those that start the version, or would if it were deployed: the flow's, and its sources'."""
    flow = node.of(Flow)
    return [
        ScheduleOf(expression=expression, timezone=flow.timezone, step_id=step_id)
        for step_id, expression in schedules_of(flow, node.of(Version).steps).items()
    ]


def _filters(node: Node) -> list[FilterOf]:
    return [
        FilterOf(step_id=step.id, expression=step.filter, on_not_matching=step.on_not_matching)
        for step in node.of(Version).steps
        if step.filter is not None
    ]


def _deployments(_: Scope, node: Node) -> Loading[Value]:
    flow = node.of(Flow)
    if flow.deployed_version_id is None:
        return []
    ref = Ref(Version, flow.deployed_version_id, flow.id)
    loaded = yield (ref,)
    version = loaded.found.get(ref)
    return [
        Deployment(
            flow_version_id=flow.deployed_version_id,
            deployed_at=None if version is None else version.deployed_at,
            enabled_at=flow.enabled_at,
        )
    ]


def _deployment_by(scope: Scope, node: Node) -> Loading[Value]:
    version = yield from _version(lambda flow: flow.deployed_version_id)(scope, node)
    if not isinstance(version, Version):
        return None
    return (yield from _user(_deployed_by)(scope, Node(version, node)))


_SCRIPT_VERSION: Final = Relation(_nothing, {"script": Relation(_nothing)})

_SYSTEM: Final = {
    "endpoints": Relation(
        _endpoints,
        {"preScriptVersion": _SCRIPT_VERSION, "postScriptVersion": _SCRIPT_VERSION},
        many=True,
    )
}

_AUTHENTICATION: Final = {"system": Relation(_made(_system), _SYSTEM)}

_CONNECTOR: Final = {
    "authenticationImplementation": Relation(
        _made(lambda node: node.of(Connection).auth), _AUTHENTICATION
    )
}

_STEP: Final[Mapping[str, Relation]] = {
    "connector": Relation(_connector, _CONNECTOR),
    "variables": Relation(_nothing, many=True),
    "cache": Relation(_nothing),
    "dataPool": Relation(_nothing),
    "scriptVersion": _SCRIPT_VERSION,
}

_OF_ANY_VERSION: Final[Mapping[str, Relation]] = {
    "deployedByUser": Relation(_user(_deployed_by)),
    "steps": Relation(_made(lambda node: node.of(Version).steps), _STEP, many=True),
    "latestRun": Relation(_latest_run),
    "schedules": Relation(_made(_schedules), many=True),
    "filters": Relation(_made(_filters), many=True),
    "variables": Relation(_nothing, many=True),
}

VERSION: Final[Mapping[str, Relation]] = {
    **_OF_ANY_VERSION,
    "runs": Relation(_runs, many=True),
}
"""Of the versions of one flow."""

FLOW: Final[Mapping[str, Relation]] = {
    "latestVersion": Relation(_version(lambda flow: flow.latest_version_id), _OF_ANY_VERSION),
    "deployedVersion": Relation(_version(lambda flow: flow.deployed_version_id), _OF_ANY_VERSION),
    "latestDeployedVersion": Relation(
        _version(lambda flow: flow.latest_deployed_version_id), _OF_ANY_VERSION
    ),
    "currentVersion": Relation(_version(lambda flow: flow.shown_version_id), _OF_ANY_VERSION),
    "versions": Relation(
        _versions, _OF_ANY_VERSION, many=True, count=lambda node: node.of(Flow).versions_count
    ),
    "labels": _listed(Label, lambda flow: flow.labels),
    "webhooks": _child(Webhook, lambda flow: flow.webhook_ids),
    "callbacks": _child(Callback, lambda flow: flow.callback_ids),
    "notificationGroups": _listed(NotificationGroup, lambda flow: flow.notification_groups),
    "messageBrokers": Relation(_nothing, many=True),
    "messageBrokerQueues": Relation(_nothing, many=True),
    "deployments": Relation(
        _deployments,
        {
            "virtualEnvironment": Relation(_nothing),
            "flowVersion": Relation(_version(lambda flow: flow.deployed_version_id)),
            "package": Relation(_nothing),
            "enabledBy": Relation(_deployment_by),
        },
        many=True,
    ),
}

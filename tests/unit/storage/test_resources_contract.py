"""What every store of resources promises, whether in memory or in DynamoDB."""

from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest
from tests.support.samples import (
    ALICE,
    BOOKKEEPING,
    MALLORY,
    connection,
    flow,
    version,
    webhook,
)
from tests.support.time_and_ids import NOON

from millrace.domain.action import ProcessAction
from millrace.domain.audit import AuditChange, AuditEntry
from millrace.domain.connection import Connection
from millrace.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RevisionMismatchError,
    TooLargeError,
)
from millrace.domain.flow import Flow, Version
from millrace.domain.ports import (
    Create,
    Delete,
    KeyRef,
    Listing,
    Put,
    Ref,
    Replace,
    Resources,
)
from millrace.domain.run import LatestRun, RunStatus
from millrace.domain.step import Step
from millrace.domain.token import Token
from millrace.domain.webhook import Webhook

WS = ALICE.workspace_id


def newer(before: Connection, **changes: object) -> Connection:
    """The next revision of a connection."""
    return before.model_copy(update={"revision": before.revision + 1, **changes})


def test_what_is_created_is_read_back_whole(resources: Resources) -> None:
    """A resource comes back equal, with every field."""
    stored = connection(stable_key="shop", headers={"X-Tenant": "é"}, description="a" * 9_000)
    resources.commit(Create(stored))
    assert resources.get(Connection, WS, stored.id) == stored


@pytest.mark.parametrize(
    ("workspace", "id_"),
    [
        (MALLORY.workspace_id, "con_1"),
        (WS, "con_2"),
        (WS, ""),
        (WS, "x" * 1_025),
        ("w" * 2_049, "con_1"),
        ("", "con_1"),
    ],
    ids=["other workspace", "unknown", "empty", "long id", "long workspace", "no workspace"],
)
def test_an_id_that_names_nothing_here_is_not_found(
    resources: Resources, workspace: str, id_: str
) -> None:
    """Another workspace's id looks like one that never was, and so does one that cannot be."""
    resources.commit(Create(connection("con_1")))
    with pytest.raises(NotFoundError):
        resources.get(Connection, workspace, id_)


def test_an_id_belongs_to_its_kind_and_parent(resources: Resources) -> None:
    """A version is found under its own flow only, and never as something else."""
    resources.commit(Create(version("ver_1"), parent_id="flow_1"))
    assert resources.get(Version, WS, "ver_1", parent_id="flow_1").number == 1
    for parent in ("flow_2", None):
        with pytest.raises(NotFoundError):
            resources.get(Version, WS, "ver_1", parent_id=parent)
    with pytest.raises(NotFoundError):
        resources.get(Connection, WS, "ver_1", parent_id="flow_1")


def test_a_stable_key_finds_its_resource_in_its_workspace_only(resources: Resources) -> None:
    """The author's key leads to the resource, and nobody else's."""
    resources.commit(Create(connection(stable_key="shop")))
    found = resources.find(Connection, WS, "shop")
    assert found is not None
    assert found.id == "con_1"
    assert resources.find(Connection, WS, "other") is None
    assert resources.find(Connection, MALLORY.workspace_id, "shop") is None


@pytest.mark.parametrize("key", ["", "k" * 1_025])
def test_a_stable_key_that_cannot_be_finds_nothing(resources: Resources, key: str) -> None:
    """References are free text, so any text may be asked for."""
    assert resources.find(Connection, WS, key) is None


def test_several_stable_keys_are_found_at_once(resources: Resources) -> None:
    """In one collection or several, more than a batch holds; what is not there is left out."""
    many = [connection(f"con_{n:03}", stable_key=f"shop-{n}") for n in range(105)]
    for first in range(0, 105, 40):
        resources.commit(*map(Create, many[first : first + 40]))
    resources.commit(Create(flow()))
    hook = webhook(stable_key="shop-1")
    resources.commit(Create(hook, parent_id="flow_1"))
    refs = [KeyRef(Connection, f"shop-{n}") for n in range(105)]
    of_flow = KeyRef(Webhook, "shop-1", "flow_1")
    nowhere = [KeyRef(Webhook, "shop-1", "flow_2"), KeyRef(Connection, ""), KeyRef(Flow, "shop-1")]
    found = resources.find_many(WS, [*refs, of_flow, *nowhere])
    assert [found.get(ref) for ref in refs] == many
    there = found.get(of_flow)
    assert there is not None
    assert there.id == hook.id
    assert [found.get(ref) for ref in nowhere] == [None, None, None]
    elsewhere = resources.find_many(MALLORY.workspace_id, refs)
    assert {elsewhere.get(ref) for ref in refs} == {None}


def test_a_stable_key_is_unique_in_its_collection(resources: Resources) -> None:
    """The second resource with a key is refused; another workspace may have the same key."""
    resources.commit(Create(connection("con_1", stable_key="shop")))
    with pytest.raises(ConflictError, match="shop"):
        resources.commit(Create(connection("con_2", stable_key="shop")))
    with pytest.raises(NotFoundError):
        resources.get(Connection, WS, "con_2")
    theirs = connection("con_3", stable_key="shop", workspace_id=MALLORY.workspace_id)
    resources.commit(Create(theirs))
    assert resources.find(Connection, MALLORY.workspace_id, "shop") == theirs


def test_a_stable_key_may_repeat_under_another_parent(resources: Resources) -> None:
    """Webhooks of two flows may be called the same."""
    resources.commit(Create(flow("flow_1")), Create(flow("flow_2")))
    resources.commit(Create(webhook("hook_1", stable_key="github"), parent_id="flow_1"))
    resources.commit(
        Create(webhook("hook_2", stable_key="github", flow_id="flow_2"), parent_id="flow_2")
    )
    found = resources.find(Webhook, WS, "github", parent_id="flow_2")
    assert found is not None
    assert found.id == "hook_2"


def test_changing_a_stable_key_frees_the_old_one(resources: Resources) -> None:
    """After a rename, the old key can be taken and the new one cannot."""
    before = connection("con_1", stable_key="old")
    resources.commit(Create(before))
    resources.commit(Replace(before, newer(before, stable_key="new")))
    assert resources.find(Connection, WS, "old") is None
    with pytest.raises(ConflictError):
        resources.commit(Create(connection("con_2", stable_key="new")))
    resources.commit(Create(connection("con_3", stable_key="old")))
    found = resources.find(Connection, WS, "new")
    assert found is not None
    assert found.id == "con_1"


def test_a_stable_key_that_is_taken_cannot_be_changed_to(resources: Resources) -> None:
    """A rename onto another's key changes nothing."""
    first, second = connection("con_1", stable_key="a"), connection("con_2", stable_key="b")
    resources.commit(Create(first), Create(second))
    with pytest.raises(ConflictError, match="'a'"):
        resources.commit(Replace(second, newer(second, stable_key="a")))
    assert resources.get(Connection, WS, "con_2") == second
    assert resources.find(Connection, WS, "b") == second


def test_deleting_frees_id_and_stable_key(resources: Resources) -> None:
    """What is gone is gone, and its key can be taken."""
    gone = connection("con_1", stable_key="shop")
    resources.commit(Create(gone))
    resources.commit(Delete(gone))
    with pytest.raises(NotFoundError):
        resources.get(Connection, WS, "con_1")
    resources.commit(Create(connection("con_2", stable_key="shop")))
    found = resources.find(Connection, WS, "shop")
    assert found is not None
    assert found.id == "con_2"


def test_an_id_is_created_once(resources: Resources) -> None:
    """Creating over something that is there is refused."""
    resources.commit(Create(connection(name="first")))
    with pytest.raises(ConflictError):
        resources.commit(Create(connection(name="second")))
    assert resources.get(Connection, WS, "con_1").name == "first"


def test_a_change_over_a_stale_revision_is_refused(resources: Resources) -> None:
    """Of two writers that read the same revision the second is told, and changes nothing."""
    before = connection()
    resources.commit(Create(before))
    resources.commit(Replace(before, newer(before, name="mine")))
    with pytest.raises(RevisionMismatchError, match="con_1"):
        resources.commit(Replace(before, newer(before, name="yours")))
    with pytest.raises(RevisionMismatchError):
        resources.commit(Delete(before))
    assert resources.get(Connection, WS, "con_1").name == "mine"


def test_a_stale_rename_says_stale_not_taken(resources: Resources) -> None:
    """A rename over an old revision onto a free key names the real cause."""
    before = connection(stable_key="old")
    resources.commit(Create(before))
    resources.commit(Replace(before, newer(before, name="mine")))
    with pytest.raises(RevisionMismatchError):
        resources.commit(Replace(before, newer(before, stable_key="free")))


def test_nothing_is_changed_that_is_not_there(resources: Resources) -> None:
    """Replacing or deleting what was never stored is refused."""
    ghost = connection("con_9")
    with pytest.raises(RevisionMismatchError):
        resources.commit(Replace(ghost, newer(ghost)))
    with pytest.raises(RevisionMismatchError):
        resources.commit(Delete(ghost))


def test_a_commit_is_all_or_nothing(resources: Resources) -> None:
    """One bad change undoes the good ones beside it."""
    there = connection("con_1", stable_key="shop")
    resources.commit(Create(there))
    with pytest.raises(RevisionMismatchError):
        resources.commit(
            Create(connection("con_2", stable_key="new")),
            Replace(there, newer(there, name="changed")),
            Delete(connection("con_3")),
        )
    assert resources.get(Connection, WS, "con_1") == there
    assert resources.find(Connection, WS, "new") is None
    assert [item.id for item in resources.page(Connection, WS).items] == ["con_1"]


def test_an_empty_commit_does_nothing(resources: Resources) -> None:
    """Applying a file that changes nothing is no error."""
    resources.commit()
    assert resources.page(Connection, WS).items == ()


def test_pages_follow_their_cursors_through_all_in_order(resources: Resources) -> None:
    """Page after page gives each resource once, oldest first, and then ends."""
    ids = [f"con_{number:02d}" for number in range(7)]
    for id_ in reversed(ids):
        resources.commit(Create(connection(id_, stable_key=f"key-{id_}")))
    resources.commit(Create(connection("con_03", workspace_id=MALLORY.workspace_id)))
    seen: list[str] = []
    sizes: list[int] = []
    cursor = None
    while True:
        listing = resources.page(Connection, WS, limit=3, cursor=cursor)
        seen += [item.id for item in listing.items]
        sizes.append(len(listing.items))
        if (cursor := listing.cursor) is None:
            break
    assert (seen, sizes) == (ids, [3, 3, 1])


def test_newest_first_follows_its_cursors_too(resources: Resources) -> None:
    """The same list backwards: each resource once, newest first, and then it ends."""
    for number in range(5):
        resources.commit(Create(connection(f"con_{number}")))
    first = resources.page(Connection, WS, limit=3, newest_first=True)
    assert [item.id for item in first.items] == ["con_4", "con_3", "con_2"]
    rest = resources.page(Connection, WS, limit=3, cursor=first.cursor, newest_first=True)
    assert [item.id for item in rest.items] == ["con_1", "con_0"]
    assert rest.cursor is None


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_beginning_of_a_list_can_be_skipped(
    resources: Resources, *, newest_first: bool
) -> None:
    """Of children too; the page's cursor leads on from there, and beyond the end there is none."""
    ids = [f"ver_{number}" for number in range(5)]
    for id_ in ids:
        resources.commit(Create(version(id_), parent_id="flow_1"))
    wanted = [*reversed(ids)] if newest_first else ids

    def page(skip: int = 0, cursor: str | None = None) -> Listing[Version]:
        return resources.page(
            Version,
            WS,
            parent_id="flow_1",
            limit=2,
            cursor=cursor,
            newest_first=newest_first,
            skip=skip,
        )

    middle = page(skip=2)
    assert [item.id for item in middle.items] == wanted[2:4]
    last = page(cursor=middle.cursor)
    assert ([item.id for item in last.items], last.cursor) == (wanted[4:], None)
    assert page(skip=4) == last
    assert page(skip=6).items == ()


def test_an_audit_entry_stands_or_falls_with_its_change(resources: Resources) -> None:
    """A refused change leaves no entry; a stored one has the values of its fields, nulls too."""
    entry = AuditEntry(
        **(BOOKKEEPING | {"id": "aud_1", "flow_id": "flow_1", "event": "replaced"}),
        changes=(
            AuditChange(
                resource_type="flow",
                resource_id="flow_1",
                before={"schedule": None},
                after={"schedule": "rate(1 hour)"},
            ),
        ),
    )
    gone = connection("con_1")
    with pytest.raises(RevisionMismatchError):
        resources.commit(Delete(gone), Create(entry, parent_id="flow_1"))
    assert resources.page(AuditEntry, WS, parent_id="flow_1").items == ()
    resources.commit(Create(gone), Create(entry, parent_id="flow_1"))
    assert resources.page(AuditEntry, WS, parent_id="flow_1").items == (entry,)


def test_a_last_page_that_is_full_ends_the_list(resources: Resources) -> None:
    """A list that fills its page exactly promises no other page."""
    for number in range(3):
        resources.commit(Create(connection(f"con_{number}")))
    listing = resources.page(Connection, WS, limit=3)
    assert len(listing.items) == 3
    assert listing.cursor is None


def test_children_are_listed_under_their_parent(resources: Resources) -> None:
    """The versions of one flow are not those of another."""
    resources.commit(Create(version("ver_1"), parent_id="flow_1"))
    resources.commit(Create(version("ver_2", flow_id="flow_2"), parent_id="flow_2"))
    listing = resources.page(Version, WS, parent_id="flow_2")
    assert [item.id for item in listing.items] == ["ver_2"]


BAD_CURSORS = {
    "no base64": "!",
    "not ascii": "é",
    "no JSON": urlsafe_b64encode(b"{").decode(),
    "no object": urlsafe_b64encode(b'["con_1"]').decode(),
    "no text": urlsafe_b64encode(b'{"id": 1}').decode(),
    "no id": urlsafe_b64encode(b"{}").decode(),
    "empty id": urlsafe_b64encode(b'{"id": ""}').decode(),
    "long id": urlsafe_b64encode(b'{"id": "%s"}' % (b"x" * 1_025)).decode(),
    "half a surrogate pair": urlsafe_b64encode(rb'{"id": "\ud800"}').decode(),
}


@pytest.mark.parametrize("cursor", BAD_CURSORS.values(), ids=BAD_CURSORS.keys())
def test_a_cursor_that_no_list_gave_is_refused(resources: Resources, cursor: str) -> None:
    """A cursor is the caller's to tamper with, so a bad one is the caller's error."""
    with pytest.raises(InvalidRequestError, match="cursor"):
        resources.page(Connection, WS, cursor=cursor)


def test_a_cursor_cannot_reach_into_another_workspace(resources: Resources) -> None:
    """A position taken from one workspace's list gives only one's own resources in another's."""
    for number in range(3):
        theirs = connection(f"con_{number}", workspace_id=MALLORY.workspace_id)
        resources.commit(Create(theirs))
    resources.commit(Create(connection("con_5")))
    cursor = resources.page(Connection, MALLORY.workspace_id, limit=1).cursor
    listing = resources.page(Connection, WS, cursor=cursor)
    assert [item.id for item in listing.items] == ["con_5"]


def test_a_public_resource_is_found_by_its_id_alone(resources: Resources) -> None:
    """A webhook's address names no workspace; other resources have no public address."""
    resources.commit(
        Create(flow("flow_1")),
        Create(webhook("hook_1"), parent_id="flow_1"),
        Create(connection("con_1")),
    )
    found = resources.find_public(Webhook, "hook_1")
    assert found is not None
    assert (found.workspace_id, found.flow_id) == (WS, "flow_1")
    assert resources.find_public(Webhook, "hook_2") is None
    assert resources.find_public(Webhook, "con_1") is None
    assert resources.find_public(Connection, "con_1") is None


@pytest.mark.parametrize("id_", ["", "x" * 2_049])
def test_a_public_id_that_cannot_be_finds_nothing(resources: Resources, id_: str) -> None:
    """Anyone may call any address."""
    assert resources.find_public(Webhook, id_) is None


def test_a_deleted_webhook_has_no_address_any_more(resources: Resources) -> None:
    """A public address dies with its resource."""
    gone = webhook("hook_1")
    resources.commit(Create(flow("flow_1")))
    resources.commit(Create(gone, parent_id="flow_1"))
    resources.commit(Delete(gone, parent_id="flow_1"))
    assert resources.find_public(Webhook, "hook_1") is None


def test_a_resource_too_large_for_an_item_is_refused_in_words(resources: Resources) -> None:
    """400 KB is DynamoDB's limit; nobody learns it from a stack trace."""
    noise = "".join(chr(0x100 + number * 7_919 % 40_000) for number in range(16_000))
    operations = tuple(
        {"type": "map", "expression": noise[offset:] + noise[:offset]} for offset in range(20)
    )
    steps = tuple(
        Step(
            id=f"map{number}",
            type="Process",
            action=ProcessAction.model_validate({"type": "Process", "operations": operations}),
        )
        for number in range(20)
    )
    with pytest.raises(TooLargeError, match="400,000"):
        resources.commit(Create(version(steps=steps), parent_id="flow_1"))


def test_more_changes_than_a_transaction_holds_are_refused_in_words(resources: Resources) -> None:
    """All or nothing has a size; beyond it the caller is told, and nothing is stored."""
    changes = [Create(connection(f"con_{number:03d}")) for number in range(101)]
    with pytest.raises(TooLargeError, match="100"):
        resources.commit(*changes)
    assert resources.page(Connection, WS).items == ()


def test_times_keep_their_milliseconds(resources: Resources) -> None:
    """Stored times have the precision of the wire format, and UTC."""
    moment = NOON.replace(microsecond=123_000)
    resources.commit(Create(connection(modified_at=moment)))
    assert resources.get(Connection, WS, "con_1").modified_at == moment


def test_several_resources_are_read_at_once(resources: Resources) -> None:
    """Of any kinds; what is not there, or is another workspace's, is left out."""
    resources.commit(Create(flow("flow_1")), Create(version("ver_1"), parent_id="flow_1"))
    resources.commit(Create(connection("con_x", workspace_id=MALLORY.workspace_id)))
    flow_ref, version_ref = Ref(Flow, "flow_1"), Ref(Version, "ver_1", "flow_1")
    refs = [flow_ref, version_ref, Ref(Connection, "con_x"), Ref(Connection, "")]
    found = resources.get_many(WS, [*refs, flow_ref])
    assert found.get(flow_ref) == resources.get(Flow, WS, "flow_1")
    assert found.get(version_ref) == version("ver_1")
    assert [found.get(ref) for ref in refs[2:]] == [None, None]


def test_more_resources_than_one_batch_holds_are_read_too(resources: Resources) -> None:
    """DynamoDB gives at most a hundred items a batch."""
    for start in (0, 75):
        created = (connection(f"con_{start + number:03d}") for number in range(75))
        resources.commit(*map(Create, created))
    refs = [Ref(Connection, f"con_{number:03d}") for number in range(150)]
    found = resources.get_many(WS, refs)
    assert [found.get(ref) is not None for ref in refs] == [True] * 150


def test_put_stores_whatever_is_there(resources: Resources) -> None:
    """A copy that another change guards needs no revision of its own."""
    resources.commit(Put(connection(name="First")))
    resources.commit(Put(connection(name="Second")))
    assert resources.get(Connection, WS, "con_1").name == "Second"


def test_a_flow_lists_its_webhooks(resources: Resources) -> None:
    """In step with every commit, and without a new revision of the flow."""
    resources.commit(Create(flow()), Create(webhook("hook_1"), parent_id="flow_1"))
    resources.commit(Create(webhook("hook_2"), parent_id="flow_1"))
    stored = resources.get(Flow, WS, "flow_1")
    assert (stored.webhook_ids, stored.revision) == (("hook_1", "hook_2"), 1)
    renamed = flow(name="Renamed", revision=2)
    resources.commit(Replace(stored, renamed), Create(webhook("hook_3"), parent_id="flow_1"))
    resources.commit(Delete(webhook("hook_1"), parent_id="flow_1"))
    stored = resources.get(Flow, WS, "flow_1")
    assert (stored.name, stored.webhook_ids) == ("Renamed", ("hook_2", "hook_3"))
    for id_ in stored.webhook_ids:
        resources.commit(Delete(webhook(id_), parent_id="flow_1"))
    assert resources.get(Flow, WS, "flow_1").webhook_ids == ()


def test_nothing_is_added_to_a_flow_that_is_gone(resources: Resources) -> None:
    """Whoever deletes a flow wins over whoever adds to it; what it owned can still be removed."""
    resources.commit(Create(flow()), Create(webhook("hook_1"), parent_id="flow_1"))
    resources.commit(Delete(flow()))
    with pytest.raises(ConflictError, match="flow_1"):
        resources.commit(Create(webhook("hook_2"), parent_id="flow_1"))
    assert resources.find_public(Webhook, "hook_2") is None
    resources.commit(Delete(webhook("hook_1"), parent_id="flow_1", parent_is_gone=True))
    assert resources.find_public(Webhook, "hook_1") is None
    with pytest.raises(NotFoundError):
        resources.get(Flow, WS, "flow_1")


def latest_run(minutes: int, status: RunStatus = RunStatus.SUCCEEDED) -> LatestRun:
    """A run that started so long after noon."""
    return LatestRun(
        run_id=f"run_{minutes}",
        version_id="ver_1",
        status=status,
        trigger_source="manual",
        start_date=NOON + timedelta(minutes=minutes),
    )


def test_a_flow_knows_its_latest_run(resources: Resources) -> None:
    """The one that started last, whichever ends last; edits of the flow leave it alone."""
    resources.commit(Create(flow()))
    resources.record_run(WS, "flow_1", latest_run(5, RunStatus.RUNNING))
    resources.record_run(WS, "flow_1", latest_run(5))
    resources.record_run(WS, "flow_1", latest_run(3, RunStatus.FAILED))
    stored = resources.get(Flow, WS, "flow_1")
    assert stored.latest_run == latest_run(5)
    resources.commit(Replace(stored, flow(name="Renamed", revision=2)))
    renamed = resources.get(Flow, WS, "flow_1")
    assert (renamed.name, renamed.latest_run) == ("Renamed", latest_run(5))


def test_the_use_of_a_token_is_kept_beside_it(resources: Resources) -> None:
    """Written unless a use since then is known; no new revision, and no change takes it away."""
    token = Token(id="tok_1", **BOOKKEEPING, name="laptop", role="viewer", secret_hash="0" * 64)
    resources.commit(Create(token))
    minute = timedelta(minutes=1)
    for at, since in ((NOON, NOON - minute), (NOON + minute, NOON - minute)):
        resources.record_use(WS, token.id, at, since)
        assert resources.get(Token, WS, token.id) == token.model_copy(update={"last_used_at": NOON})
    resources.record_use(WS, token.id, NOON + minute, NOON)
    renamed = token.model_copy(update={"name": "server", "revision": 2})
    resources.commit(Replace(token, renamed))
    used = renamed.model_copy(update={"last_used_at": NOON + minute})
    assert resources.get(Token, WS, token.id) == used
    assert resources.page(Token, WS).items == (used,)


def test_the_use_of_a_revoked_token_brings_nothing_back(resources: Resources) -> None:
    """A use that is written down late finds nothing to write to."""
    resources.record_use(WS, "tok_1", NOON, NOON)
    with pytest.raises(NotFoundError):
        resources.get(Token, WS, "tok_1")


def test_the_run_of_a_deleted_flow_brings_nothing_back(resources: Resources) -> None:
    """A run may end after its flow is gone."""
    resources.record_run(WS, "flow_1", latest_run(1))
    with pytest.raises(NotFoundError):
        resources.get(Flow, WS, "flow_1")


def test_a_version_keeps_its_latest_run_when_another_version_runs(resources: Resources) -> None:
    """Also when it began before the other version's run and ends after it, or is told late."""
    resources.commit(Create(flow()))
    old, new = latest_run(3, RunStatus.RUNNING), latest_run(5)
    resources.record_run(WS, "flow_1", old)
    resources.record_run(WS, "flow_1", new.model_copy(update={"version_id": "ver_2"}))
    asked = [("flow_1", old.version_id), ("flow_1", "ver_9"), ("flow_9", old.version_id)]
    assert resources.latest_runs(WS, asked) == {old.version_id: old}
    resources.record_run(WS, "flow_1", latest_run(3))
    resources.record_run(WS, "flow_1", latest_run(1, RunStatus.FAILED))
    assert resources.latest_runs(WS, asked) == {old.version_id: latest_run(3)}
    assert resources.latest_runs("ws_mallory", asked) == {}


def test_a_flow_is_unsettled_from_its_change_until_somebody_says_otherwise(
    resources: Resources,
) -> None:
    """Only one that was ever deployed; who says so of an older revision is not heard."""
    later = NOON + timedelta(minutes=1)
    deployed = flow(deployed_version_id="ver_1", latest_deployed_version_id="ver_1")
    resources.commit(Create(deployed), Create(flow("flow_2")))
    assert resources.unsettled(NOON) == ()
    assert resources.unsettled(later) == (deployed,)
    resources.settle(deployed)
    assert resources.unsettled(later) == ()
    changed = deployed.model_copy(update={"revision": 2, "deployed_version_id": None})
    resources.commit(Replace(deployed, changed))
    resources.settle(deployed)
    assert resources.unsettled(later) == (changed,)
    resources.settle(changed)
    assert resources.unsettled(later) == ()
    resources.commit(Delete(changed))
    resources.settle(changed)
    assert resources.unsettled(later) == ()

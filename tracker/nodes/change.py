"""What happened to a node between two looks at the registry. Pure."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tracker.nodes.node import Node


class Change(enum.Enum):
    """The kinds."""

    ADDED = "added"
    #: It has a new key.
    ROTATED = "rotated"
    #: An old key's time is over; it has another one.
    EXPIRED = "expired"
    #: It has no key any more.
    REVOKED = "revoked"
    REMOVED = "removed"


class NodeChange(NamedTuple):
    """One change of one node."""

    #: As it is now; as it was, if it is removed.
    node: Node
    kind: Change
    #: Whether it was asked for at this replica: true at one replica only, at none for `EXPIRED`.
    is_made_here: bool


def changes_between(
    before: Node | None, after: Node | None, *, is_made_here: bool
) -> list[NodeChange]:
    """Return what became of one node: two changes if another one took its name."""
    changes = []
    if before is not None and (after is None or after.created_at != before.created_at):
        changes.append(NodeChange(before, Change.REMOVED, is_made_here))
        before = None
    if after is None:
        return changes
    if before is None:
        changes.append(NodeChange(after, Change.ADDED, is_made_here))
    elif kind := _of_keys(before, after):
        changes.append(NodeChange(after, kind, is_made_here and kind is not Change.EXPIRED))
    return changes


def _of_keys(before: Node, after: Node) -> Change | None:
    had, has = ({key.hash for key in node.keys} for node in (before, after))
    if has - had:
        return Change.ROTATED
    if had and not has:
        return Change.REVOKED
    return Change.EXPIRED if had - has else None

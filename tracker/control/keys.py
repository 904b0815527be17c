"""What becomes of a node's control channel when its keys change.

A node without keys is cut off: its channel ends, and no other node talks to it. One whose old key
has ended comes in anew, by the key that it has now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.nodes.change import Change, NodeChange

if TYPE_CHECKING:
    from tracker.control.channel import Control
    from tracker.nodes.node import Node
    from tracker.nodes.nodes import Nodes


class KeyWatch:
    """Hears what happens to nodes, and has the channels follow. Holds no task."""

    def __init__(self, nodes: Nodes, control: Control) -> None:
        self._control = control
        self._removed: dict[str, Node] = {}
        for node in nodes.all_nodes():
            if not node.keys:
                self._cut(node)
        nodes.on_change(self._hear)

    def _hear(self, change: NodeChange) -> None:
        node = change.node
        if change.kind is Change.REMOVED:
            self._removed[node.name] = node
            self._cut(node)
        elif change.kind is Change.REVOKED:
            self._cut(node)
        elif change.kind is Change.ADDED:
            self._restore_former(node)
            self._control.restore(node.name)
        else:
            self._control.restore(node.name)
            if len(node.keys) == 1:  # no old key goes on
                self._control.drop(node.name)

    def _cut(self, node: Node) -> None:
        self._control.cut(node.name, node.addresses)

    def _restore_former(self, node: Node) -> None:
        """Let the addresses of a new node be talked to, whoever had them before."""
        for former in list(self._removed.values()):
            if former.name == node.name or former.overlaps(node):
                self._control.restore(former.name)
                del self._removed[former.name]

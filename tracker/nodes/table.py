"""All nodes in memory, found by name, by address and by key. Pure; no look-up is slow.

Two nodes have no address in common, so an address leads to one node at most, whatever the order in
which networks are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from tracker.nodes.node import Network, Node, NodeKey

#: Addresses whose node is remembered; beyond it all are forgotten, and found anew.
_MOST_REMEMBERED = 1 << 16


class NodeTable:
    """A look-up costs one step for each length of prefix in use, and one the next time."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self._nodes: dict[str, Node] = {}
        self._by_key: dict[str, tuple[Node, NodeKey]] = {}
        #: (bits of the address, bits of the prefix) -> prefix as a number -> node.
        self._by_prefix: dict[tuple[int, int], dict[int, Node]] = {}
        self._remembered: dict[bytes, Node | None] = {}
        for node in nodes:
            self.put(node)

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        """Iterate over the nodes by name."""
        return iter(sorted(self._nodes.values(), key=lambda node: node.name))

    def values(self) -> Iterable[Node]:
        """Return the nodes in no order."""
        return self._nodes.values()

    def get(self, name: str) -> Node | None:
        """Return the node of a name."""
        return self._nodes.get(name)

    def put(self, node: Node) -> None:
        """Take a node in, in place of the one of its name."""
        self.drop(node.name)
        self._nodes[node.name] = node
        for key in node.keys:
            self._by_key[key.hash] = (node, key)
        for network in node.networks:
            length, prefix = _prefix(network)
            self._by_prefix.setdefault(length, {})[prefix] = node

    def drop(self, name: str) -> None:
        """Forget a node, if it is there."""
        self._remembered.clear()
        node = self._nodes.pop(name, None)
        if node is None:
            return
        for key in node.keys:
            self._by_key.pop(key.hash, None)
        for network in node.networks:
            length, prefix = _prefix(network)
            prefixes = self._by_prefix[length]
            prefixes.pop(prefix, None)
            if not prefixes:
                del self._by_prefix[length]

    def by_key(self, key_hash: str) -> tuple[Node, NodeKey] | None:
        """Return the node that has a key, and the key, whether or not it has expired."""
        return self._by_key.get(key_hash)

    def by_address(self, address: bytes) -> Node | None:
        """Return the node that an address (4 or 16 bytes) belongs to."""
        try:
            return self._remembered[address]
        except KeyError:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            node = self._remembered[address] = self._find(address)
            return node

    def _find(self, address: bytes) -> Node | None:
        bits, number = 8 * len(address), int.from_bytes(address, "big")
        for (of_bits, length), prefixes in self._by_prefix.items():
            if of_bits == bits and (node := prefixes.get(number >> (bits - length))) is not None:
                return node
        return None

    def overlapping(self, network: Network) -> Node | None:
        """Return a node that has an address in common with ``network``."""
        (bits, length), prefix = _prefix(network)
        for (of_bits, other), prefixes in self._by_prefix.items():
            if of_bits != bits:
                continue
            if other <= length:
                found = prefixes.get(prefix >> (length - other))
            else:
                within = (n for p, n in prefixes.items() if p >> (other - length) == prefix)
                found = next(within, None)
            if found is not None:
                return found
        return None

    def first_expiry(self) -> datetime | None:
        """Return when the next key expires."""
        times = (key.expires_at for _, key in self._by_key.values() if key.expires_at is not None)
        return min(times, default=None)


def _prefix(network: Network) -> tuple[tuple[int, int], int]:
    """Return ((bits of the address, bits of the prefix), the prefix as a number)."""
    bits, length = network.max_prefixlen, network.prefixlen
    return (bits, length), int(network.network_address) >> (bits - length)

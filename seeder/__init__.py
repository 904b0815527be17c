"""Glance image -> torrent -> seeded: the role on the nodes that have the source data."""

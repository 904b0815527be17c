"""Who has what: the peers of each published torrent."""

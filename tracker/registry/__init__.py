"""What outlives a restart: images, their variants and their torrents."""

"""Where a seeder's images come from: a directory, or a Glance."""

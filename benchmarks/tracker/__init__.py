"""The tracker, measured; beside opentracker where it can do the same."""

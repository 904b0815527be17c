"""The tracker's HTTP API for nodes and operators."""

"""The peer agent: request -> swarm -> instance store."""

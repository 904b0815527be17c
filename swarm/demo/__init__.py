"""`swarm demo`: the main job on one machine, with every copy checked at the end."""

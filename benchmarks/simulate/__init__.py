"""Swarms of up to ten thousand hosts, simulated piece by piece under the tracker's own policies.

What the model has and what it leaves out is in README.md; read it before quoting a figure.
"""

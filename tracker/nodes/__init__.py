"""Nodes: who may take part, from where, and in which rack they are."""

"""Measured questions."""

"""Requests to bring an image to a destination: their states, their record, their way."""

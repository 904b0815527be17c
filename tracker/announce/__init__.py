"""Announces and scrapes: from a query string to the peers handed out."""

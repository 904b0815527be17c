"""The lab: hosts as network namespaces, joined by bridges, each link shaped both ways."""

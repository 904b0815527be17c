"""What the commands of all roles share: options, credentials, tables."""

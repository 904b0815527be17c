"""The control channel: nodes say what they hold and want, the tracker says whom to meet."""

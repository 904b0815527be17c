"""Where instances boot from: the only code of the agent that creates or publishes files there."""

"""The few things that all our aiohttp servers share."""

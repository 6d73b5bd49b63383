"""Who may ask: API keys with their limits, host names, bearer tokens. Nothing here knows HTTP's statuses or ASGI."""

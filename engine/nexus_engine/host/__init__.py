"""What the engine does for every plugin: HTTP transport, retry, rate, deadlines, redaction, recording."""

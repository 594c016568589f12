"""Built-in sinks, one folder each."""

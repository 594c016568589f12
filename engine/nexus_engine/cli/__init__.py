"""Commands: each parses, calls one function, prints."""

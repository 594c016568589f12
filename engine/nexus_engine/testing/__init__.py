"""Shipped to plugin and feed authors: replay server, feed cases, conformance."""

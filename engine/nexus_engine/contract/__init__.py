"""All that a plugin author imports; ``nexus_engine`` re-exports it."""

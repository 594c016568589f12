"""What the engine remembers: positions, batches, quarantine, run history. One SQLite file per data folder, one writer."""

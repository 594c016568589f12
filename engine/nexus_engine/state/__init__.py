"""What must survive a kill: positions, batches, quarantine, run history, budgets."""

"""The long-running process: schedule, reload, owner socket."""

"""Pure decisions: no files, processes, clocks or environment."""

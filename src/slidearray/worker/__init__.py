"""One array task: a light supervisor and the child that does the work."""

"""argv to one stage call, to text or JSON, to an exit code."""

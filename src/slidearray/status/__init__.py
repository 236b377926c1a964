"""status: what became of every slide of a run, where its attempts are, and what can be done."""

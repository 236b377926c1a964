"""submit and resubmit: what an attempt would send, and running it here."""

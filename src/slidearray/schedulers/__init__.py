"""Scheduler dialects, and the emulation that runs their scripts here."""

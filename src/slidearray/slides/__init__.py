"""Pixels: readers, tissue, tiles."""

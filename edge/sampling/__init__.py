"""Sampling: what sensors measure becomes frames."""

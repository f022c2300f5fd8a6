"""Runs the agent's own sensors and sampler on a recording, and compares."""

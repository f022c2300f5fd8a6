"""The last values of every vehicle in memory, and their way to browsers."""

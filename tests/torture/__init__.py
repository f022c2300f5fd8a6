"""Kill everything at random, then compare sample by sample. `just torture`."""

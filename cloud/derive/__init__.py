"""The engine that turns frames, in sequence order and exactly once, into what happened."""

"""Running it: health, metrics, logs, import of recordings, the socket that the command line talks to."""

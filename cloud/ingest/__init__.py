"""From the broker to committed rows. `pipeline.py` is the ordered list of steps, `service.py` what drives it."""

"""The commands of `milepost`, one module each, with its `command`."""

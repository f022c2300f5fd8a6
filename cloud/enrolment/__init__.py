"""Devices come in: claim codes, keys, the identity of the service, and who has been let in."""

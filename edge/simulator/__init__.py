"""Vehicles that are not there: a model on real roads, seen through an ELM327 on a pty and gpsd's protocol on TCP."""

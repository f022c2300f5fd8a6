"""Sensors: whatever measures. Each reads its peer, converts once into raw integers, and hands rows to a sink."""

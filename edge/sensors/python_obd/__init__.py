"""python-OBD as a sensor, to compare ours with. GPL-2.0-only: imported in `connection.py` alone, when it is chosen."""

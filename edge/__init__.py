"""The program in the vehicle. `app.py` puts the stages together and is the first file to read."""

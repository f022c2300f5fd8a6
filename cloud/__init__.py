"""The cloud service. `app.py` puts the stages together and is the first file to read."""

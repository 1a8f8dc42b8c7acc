"""Networks that have left a run: how they are written, found again, loaded and shown an image.

Here belongs all that somebody needs who has a trained network and no run. It knows neither steps nor scores.
"""

"""Road scenes drawn on the fly."""

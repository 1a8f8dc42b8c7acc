"""The engine: runs a recipe on Accelerate."""

"""Scores as the benchmarks of road scenes publish them."""

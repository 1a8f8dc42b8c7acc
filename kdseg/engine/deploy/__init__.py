"""Trained networks written for programs without PyTorch, and each file held against its network."""

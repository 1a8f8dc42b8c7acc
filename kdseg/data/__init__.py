"""Samples, class tables, augmentation and deterministic loading."""

"""Measures of predictions against labels."""

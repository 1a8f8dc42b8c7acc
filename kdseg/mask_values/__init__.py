"""What the numbers and colours in masks mean: for datasets whose users say it."""

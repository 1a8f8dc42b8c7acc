"""What a run runs on: processes and their devices, memory, signals, the terminal.

Here belongs what differs from machine to machine. It knows neither recipes nor networks' meaning.
"""

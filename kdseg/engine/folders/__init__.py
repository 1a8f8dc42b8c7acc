"""What a run leaves on the disk, written whole or not at all, and read with suspicion.

Here belongs what knows files and their layout. It uses nothing else of the engine.
"""

"""What networks cost: counted, and measured on this machine."""

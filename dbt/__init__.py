"""The translator: guest bytes to host code. Knows no operating system and no device, and imports nothing of this project."""

"""Guests contained in a root: attempts to leave it, limits, and what runs inside."""

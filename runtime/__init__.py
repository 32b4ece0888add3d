"""What a guest lives in: memory and processes. Uses the translator, which knows nothing of it."""

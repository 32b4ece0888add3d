"""Guests and files that mean harm: nothing that they do ends, hangs or misleads the process that runs them."""

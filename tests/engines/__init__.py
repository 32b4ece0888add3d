"""The engines against the oracle, against each other and against other machines; invalidation."""

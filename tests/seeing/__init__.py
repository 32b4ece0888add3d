"""What a machine lets one see: -d, --deterministic, --lockstep."""

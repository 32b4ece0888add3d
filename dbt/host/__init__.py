"""What depends on the host machine: entry into native code, fault recovery, relocations."""

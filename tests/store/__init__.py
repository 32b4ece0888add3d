"""The store on disk: packs, entries, damage, folders that cannot be trusted."""

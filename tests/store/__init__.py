"""The store on disk: packs, images, folders; sound, damaged, foreign, full."""

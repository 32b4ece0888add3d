"""`--rootfs`: a guest that has a folder as its whole file system, and the host's kernel to keep it there."""

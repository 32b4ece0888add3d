"""Virtual machines: CPUs with privilege levels, an MMU and devices. Knows no instruction set by itself."""

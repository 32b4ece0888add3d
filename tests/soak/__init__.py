"""Many rounds of programs that mix what races: `make soak`."""

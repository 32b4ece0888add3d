"""--lockstep: guests that run alike on two engines, and engines that are wrong on purpose."""

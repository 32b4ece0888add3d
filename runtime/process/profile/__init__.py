"""What tells profilers of the host which guest code translated code is of: perf's maps, and dumps of code for perf inject."""

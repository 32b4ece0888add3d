"""What instructions mean: rows of data and grids of edge values, for the oracle and every engine."""

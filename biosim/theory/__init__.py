"""What theory says about pruning, as algorithms: subset sums, the depth-2L construction, exhaustive search, operation counts."""

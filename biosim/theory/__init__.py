"""What theory says about pruning, as algorithms: subset sums, the depth-2L construction, exhaustive search, operation counts."""

from collections.abc import Callable, Mapping

Progress = Callable[[str, int, int, Mapping[str, float]], None]  # stage, step, steps, numbers

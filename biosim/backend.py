"""Which form of the inner loops runs: fused numba kernels on the CPU, torch operations elsewhere."""

from __future__ import annotations

import torch


def fused(device: torch.device) -> bool:
    """Whether tensors on ``device`` are worked on by the numba kernels."""
    return device.type == "cpu"

"""To and from a user's own ``torch.nn.Sequential``.

:func:`network_from_torch` makes births of it, :func:`to_torch` writes a circuit back as plain layers,
:func:`to_torch_prune` as masks of ``torch.nn.utils.prune``, and :func:`from_torch_prune` reads such masks.
"""

from biosim.torch_bridge.births import network_from_torch
from biosim.torch_bridge.modules import to_torch, to_torch_prune
from biosim.torch_bridge.pruned import from_torch_prune

__all__ = ["from_torch_prune", "network_from_torch", "to_torch", "to_torch_prune"]

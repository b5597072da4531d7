"""Floating-point operations of each way to find a circuit: those of its matrix products, counted, not timed.

A product (S, m) @ (m, n) is 2 S m n operations. With C the number of birth edges and C_in those that leave the input,

    forward pass of S samples                    2 S C
    gradients of all weights, and errors back    2 S C + 2 S (C - C_in)
    local rule with q coincidences               2 S C q, and its teaching signal back 2 S (C - C_in)

What is done once a synapse and step (momentum, tags, thresholds) is left out: a few operations beside 6 for every sample.
Masks are multiplied in full, as the simulator does; a device that skips what is pruned would need fewer.
"""

from __future__ import annotations

from dataclasses import dataclass

from biosim.synapses import Network


@dataclass(frozen=True)
class Cost:
    """Operations of one network, a replicate.

    Attributes
    ----------
    edges : int
        Pairs of neurons of all projections.
    from_input : int
        Those of projections that leave the input.
    """

    edges: int
    from_input: int

    @classmethod
    def of(cls, network: Network) -> Cost:
        """Return the cost of a feedforward network."""
        first = network.input.name
        pairs = {name: p.weight[0].numel() for name, p in network.projections.items()}
        return cls(sum(pairs.values()), sum(n for name, n in pairs.items() if network.projections[name].pre.name == first))

    def forward(self, samples: int) -> int:
        """Return the operations of running the network on samples."""
        return 2 * samples * self.edges

    def gradient_step(self, samples: int) -> int:
        """Return those of one step of gradient descent, on weights or on scores."""
        return self.forward(samples) + 2 * samples * self.edges + 2 * samples * (self.edges - self.from_input)

    def local_step(self, samples: int, taught: int, echoed: int = 0) -> int:
        """Return those of one step of a local rule.

        Parameters
        ----------
        samples : int
        taught : int
            Coincidences of a synapse that read the teaching signal of its target.
        echoed : int
            Coincidences that read the teaching signal of its source too, which input neurons have not.
        """
        back = 2 * samples * (self.edges - self.from_input)
        return self.forward(samples) + back + 2 * samples * (self.edges * taught + (self.edges - self.from_input) * echoed)

    def search(self, samples: int, evaluations: int) -> int:
        """Return those of looking at masks, each run anew on the same samples."""
        return evaluations * self.forward(samples)

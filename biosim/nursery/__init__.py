"""A network under development: everything that decides about its synapses, step by step, from what they sense."""

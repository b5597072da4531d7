"""How synapses are stored, counted and chosen among: arrays of all birth edges, packed lists of the few that live, exact competition."""

"""Sweeps: one scenario under many settings and seeds, a run directory each, on this machine or on a cluster."""

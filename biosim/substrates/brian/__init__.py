"""Brian2: elimination in a user's own model, and networks generated from biosim's own description.

Importing this package imports Brian2; nothing else in biosim does.
"""

from biosim.substrates.brian.elimination import eliminate
from biosim.substrates.brian.recording import EliminatedRecording, eliminated_recordings
from biosim.substrates.brian.simulation import BrianSimulation, brian_network

__all__ = ["BrianSimulation", "EliminatedRecording", "brian_network", "eliminate", "eliminated_recordings"]

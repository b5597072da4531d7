"""The names of what a run leaves on disk.

run.json              resolved scenario, id, seeds, versions, data hash, status, results
metrics.jsonl         one line a record, written as development goes on
circuit.safetensors   PROJECTION.mask, PROJECTION.weight, PROJECTION.born, POPULATION.gain
                      (of a spiking network PROJECTION.REPLICATE.pre, .post, .birth_weight, .weight, .death_step)
spikes.safetensors    of a spiking network: first and last window, POPULATION.REPLICATE.times, .neurons
rivals/NAME.safetensors
searches/NAME.K.safetensors   what further searches on the same births found; NAME is local for the scenario's rule
comparison.json       all that was compared
results.nc            history, death steps and the table (xarray)
tables/*.csv          of a study, or of an activity scenario's measure
conditions/NAME/      a run directory for each condition of a scenario that has some
checkpoints/          until it is done: what is finished, and what is at work (:mod:`biosim.rundir.checkpoint`)
figures/*.svg, report.html
"""

RUN, METRICS, CIRCUIT, SPIKES, RIVALS, SEARCHES, COMPARISON, RESULTS, TABLES, FIGURES, REPORT, CONDITIONS, CHECKPOINTS = (
    "run.json", "metrics.jsonl", "circuit.safetensors", "spikes.safetensors", "rivals", "searches", "comparison.json", "results.nc",
    "tables", "figures", "report.html", "conditions", "checkpoints",
)  # fmt: skip
OWN_FILES = (RUN, METRICS, CIRCUIT, SPIKES, RIVALS, SEARCHES, COMPARISON, RESULTS, TABLES, FIGURES, REPORT)
LOCAL = "local"  # what comparisons call the scenario's own circuit

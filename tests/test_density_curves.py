"""Density against age: the fit and its intervals, the counts, and elimination below a threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit

from biosim.develop import Development, develop
from biosim.drives.common_signal import CommonSignalDrive, drive
from biosim.equations import parse_rule
from biosim.library import find, load_module
from biosim.measures.density_curve import METRICS, fit_exponential, measure
from biosim.rules import load_rule
from biosim.schedule import Schedule

Cli = Callable[..., Any]
build = load_module(find("models", "convergence")).build
AGE = np.linspace(0, 23, 16)


def curve(age: Any, k_inf: float, k_0: float, tau: float) -> Any:
    return k_inf + (k_0 - k_inf) * np.exp(-np.asarray(age) / tau)


@pytest.mark.parametrize(("k_inf", "k_0", "tau"), [(1.64, 3.10, 5.72), (0.5, 1.0, 2.0), (30.7, 59.1, 40.0)])
def test_an_exponential_is_found_again(k_inf: float, k_0: float, tau: float) -> None:
    fit = fit_exponential(AGE, curve(AGE, k_inf, k_0, tau))
    assert (fit.k_inf, fit.k_0, fit.tau) == (pytest.approx(k_inf, rel=1e-4), pytest.approx(k_0, rel=1e-4), pytest.approx(tau, rel=1e-4))
    assert fit.loss == pytest.approx(1 - k_inf / k_0, rel=1e-3) and fit.dbic > 100
    np.testing.assert_allclose(fit.at(AGE), curve(AGE, k_inf, k_0, tau), rtol=1e-5)


def test_the_fit_is_scipys_and_so_is_its_bic() -> None:
    noisy = curve(AGE, 0.53, 1.0, 5.72) + 0.02 * np.random.default_rng(0).standard_normal(16)
    fit = fit_exponential(AGE, noisy)
    found, covariance = curve_fit(curve, AGE, noisy, [0.5, 1.0, 5.0])
    np.testing.assert_allclose([fit.k_inf, fit.k_0, fit.tau], found, rtol=1e-4)
    assert fit.tau_error == pytest.approx(2.1604 * np.sqrt(covariance[2, 2]), rel=1e-3)  # Student's t, 13 degrees of freedom
    line = np.polyval(np.polyfit(AGE, noisy, 1), AGE)
    bic = [16 * np.log(((noisy - m) ** 2).mean()) + k * np.log(16) for m, k in ((line, 2), (curve(AGE, *found), 3))]
    assert fit.dbic == pytest.approx(bic[0] - bic[1], rel=1e-5)


def test_intervals_hold_the_truth_nineteen_times_in_twenty() -> None:
    random = np.random.default_rng(1)
    fits = [fit_exponential(AGE, curve(AGE, 0.53, 1.0, 5.72) + 0.01 * random.standard_normal(16)) for _ in range(300)]
    assert 0.91 <= np.mean([abs(f.tau - 5.72) <= f.tau_error for f in fits]) <= 0.985
    assert 0.91 <= np.mean([abs(f.loss - 0.47) <= f.loss_error for f in fits]) <= 0.985


def test_a_line_is_not_taken_for_an_exponential() -> None:
    random = np.random.default_rng(2)
    lines = [fit_exponential(AGE, 1 - 0.02 * AGE + 0.01 * random.standard_normal(16)).dbic for _ in range(100)]
    assert np.mean(np.array(lines) < 2) >= 0.9 and max(lines) < 10


def developed(
    seeds: tuple[int, ...] = (0,), plasticity: Any = None, theta: float = 0.1, **asked: Any
) -> tuple[Development, CommonSignalDrive]:
    network = build(seeds, afferents=80, cells=20, weakest=0.1, strongest=0.8)
    shown = drive(network, **({"steps": 80, "duration": "23 day"} | asked))
    rule = load_rule("weak-synapse").with_parameters({"theta": theta})
    plasticity = plasticity or load_rule("correlation-weights", "plasticity").with_parameters({"tau": "1.82 day", "spread": 0.2})
    free = Schedule("free", opens=0.0, closes=1.0)
    return develop(network, shown, rule, schedule=free, homeostasis=[], seeds=seeds, plasticity=plasticity), shown


def test_each_age_is_counted_in_cells_of_its_own() -> None:
    development, shown = developed((3,))
    findings = measure(development, shown, ages=5)
    death = development.network.projections["afferents-cells"].death_step[0].numpy()
    for row, moment, first in zip(findings.tables["density"], [0, 20, 40, 60, 80], range(5), strict=True):
        own = death[:, first::5]
        assert row["density"] == pytest.approx(((own == -1) | (own >= moment)).mean()) and row["cells"] == 4
    assert set(findings.metrics) == set(METRICS)
    assert findings.metrics["counted_loss"][0] == pytest.approx((death != -1).mean())


def test_steady_shrinkage_kills_along_a_line() -> None:
    """A weight that loses dt/tau a step is below theta once w_0 < theta + t/tau: the density is known at every moment."""
    steady = parse_rule({"name": "steady", "role": "plasticity", "parameters": {"tau": "66 day"}, "synapse": ["weight = weight - dt/tau"]})
    born = build((0,), afferents=80, cells=20, weakest=0.1, strongest=0.8).projections["afferents-cells"].weight[0].numpy()
    development, shown = developed(plasticity=steady)
    death = development.network.projections["afferents-cells"].death_step[0].numpy()
    lost = 23 / 66 * (np.arange(80) / 80)  # before step n, n steps have taken their share
    for step in range(1, 80, 13):
        sure = np.abs(born - 0.1 - lost[step]) > 1e-5
        np.testing.assert_array_equal(((death != -1) & (death <= step))[sure], (born < 0.1 + lost[step])[sure])
    assert measure(development, shown, ages=10).metrics["dbic"][0] < 2


def test_the_signal_decides_who_stays() -> None:
    development, shown = developed((0, 1), share=0.5)
    for r, seed in enumerate((0, 1)):
        alive, carries = development.circuit.mask["afferents-cells"][r], shown.carriers(seed)
        assert alive[carries].mean() > 0.8 and alive[~carries].mean() < 0.15
    without, shown = developed((0, 1), correlation=0.0)
    assert without.circuit.density().max() < 0.2
    assert measure(development, shown).metrics["dbic"][0] > 10


def test_weights_wander_about_their_baseline() -> None:
    """Without a signal or a threshold a weight is an autoregressive process, mean and variance known.

    Input i correlates with the sum it is part of by g w_i, g = 1/sqrt(sum of w**2), so it is drawn back at the rate 1 - g only.
    """
    development, shown = developed((5,), theta=-10.0, correlation=0.0, steps=400, samples=200)
    weight = development.network.projections["afferents-cells"].weight[0].numpy()
    share, mean, variance = shown.clock.dt / (1.82 * 86400), 0.3, 0.04
    for _ in range(100):
        back = 1 - 1 / np.sqrt(80 * (mean**2 + variance))
        mean, variance = 0.3 / back, 0.04 * 2 * share / (1 - (1 - share * back) ** 2)
    assert weight.std(1, ddof=1).mean() == pytest.approx(np.sqrt(variance), rel=0.04)
    assert weight.mean() == pytest.approx(mean, rel=0.04)


def test_carriers_correlate_and_nobody_is_louder() -> None:
    network = build((0,), afferents=50, cells=2)
    shown = drive(network, share=0.4, correlation=0.3, steps=20, samples=1000)
    x = torch.cat([p.inputs[0] for p in shown.presentations((9,), torch.device("cpu"))]).numpy()
    carries = shown.carriers(9)
    assert carries.sum() == 20
    np.testing.assert_allclose(x.var(0), 1, atol=0.05)
    correlation = np.corrcoef(x.T) - np.eye(50)
    assert correlation[np.ix_(carries, carries)].sum() / (20 * 19) == pytest.approx(0.3, abs=0.02)
    assert np.abs(correlation[~carries]).max() < 0.05


def test_a_replicate_alone_equals_the_batch() -> None:
    batch, alone = developed((3, 4))[0].circuit, developed((4,))[0].circuit
    np.testing.assert_array_equal(batch.mask["afferents-cells"][1], alone.mask["afferents-cells"][0])
    np.testing.assert_array_equal(batch.weight["afferents-cells"][1], alone.weight["afferents-cells"][0])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("model.cells=0", "model.cells: both populations need a neuron"),
        ("model.weakest=0.9", "model.weakest: need 0 <= weakest < strongest"),
        ("drive.correlation=1.5", "drive.correlation: must lie between 0 and 1, not 1.5"),
        ("drive.share=-0.1", "drive.share: must lie between 0 and 1, not -0.1"),
        ("drive.samples=1", "drive.samples: needs at least 2, not 1"),
        ("measure.ages=65", "measure.ages: ages must lie between 5 and the 64 cells"),
        ("measure.end=70", "measure.end: the published density must fall"),
        ("measure.tau=5 Hz", "measure.tau: '5 Hz' needs a unit of time"),
        ("plasticity.tau=3", "plasticity.tau"),
    ],
)
def test_nonsense_is_refused(cli: Cli, setting: str, expected: str) -> None:
    code, _, err = cli("validate", "density-curves", "--set", setting)
    assert code == 2 and expected in err

"""What pages are made of: packed lives of synapses, figures made harmless, sweeps in numbers, and errors in one line."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from report_pages import CONDITIONS, GROWTH, make

from biosim.report import viewer
from biosim.report.distributions import at_random, by_weight
from biosim.report.figures import receptive_fields
from biosim.report.inline_svg import in_the_dark, inline_svg
from biosim.report.life import life_of, order_of
from biosim.report.packing import NEVER, Edges, dense_edges, frames, pack
from biosim.report.pair import leaves
from biosim.rundir import seal
from biosim.store import open_run
from biosim.sweep.page import explorer_data

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = TINY.replace("[edge-popup, random]", "[random]").replace("density: 0.3", "density: 0.3, closes: 0.6")
    return make(tmp_path_factory.mktemp("parts"), "run", text)


def inflate(text: str, kind: Any) -> npt.NDArray[Any]:
    """Return the array that a page unpacks."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind)


# -- lives of synapses ----------------------------------------------------------------------------
@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2000), st.sampled_from([1, 7, 200]), st.booleans())
def test_every_frame_is_rebuilt_exactly(seed: int, total: int, most: int, grown: bool) -> None:
    random = np.random.default_rng(seed)
    death = random.integers(-3, total, (7, 5))
    death[0, 0] = -1
    formed = np.where(death >= 0, random.integers(-1, np.maximum(death, 0) + 1), random.integers(-1, total, death.shape)) if grown else None
    weight = random.standard_normal((7, 5))
    edges, at = dense_edges(death, formed, weight), frames(total, most)
    assert at[0] == 0 and at[-1] == total and len(at) <= most + 1 and edges.births == (death != -2).sum()
    packed = pack(edges, at, (7, 5), float(np.abs(weight).max()))
    died, post = inflate(packed["died"], np.uint8), inflate(packed["post"], "<u4") if "post" in packed else np.tile(np.arange(5), 7)
    pre = np.repeat(np.arange(7), inflate(packed["rows"], "<u4")) if "rows" in packed else np.repeat(np.arange(7), 5)
    came = inflate(packed["formed"], np.uint8) if "formed" in packed else np.zeros(len(died), np.uint8)
    coarse = inflate(packed["weight"], np.int8) / 127 * packed["scale"]
    np.testing.assert_allclose(coarse, weight[pre, post], atol=packed["scale"] / 127)
    for frame, step in enumerate(at):
        shown = np.zeros(death.shape, bool)
        there = (died > frame) & (came <= frame)
        shown[pre[there], post[there]] = True
        lives = ((death == -1) | (death >= step)) & (death >= -1)
        if formed is not None:
            lives &= formed < step
            lives |= ((formed == -1) & (death >= step)) | ((formed == -1) & (death == -1))
        np.testing.assert_array_equal(shown, lives)
        assert edges.alive(at)[frame] == lives.sum()
    assert (died == NEVER).sum() == (death == -1).sum()


def test_constant_weights_take_a_bit_each() -> None:
    edges = Edges(np.repeat([0, 1], 3), np.tile([0, 1, 2], 2), np.full(6, -1), np.full(6, -1), np.array([1, -1, -1, 1, 1, -1]) * 0.05, 6)
    packed = pack(edges, frames(10), (2, 3), 0.05)
    bits = np.unpackbits(inflate(packed["sign"], np.uint8), bitorder="little")[:6]
    assert bits.tolist() == [1, 0, 0, 1, 1, 0] and "weight" not in packed and "rows" not in packed


def test_neurons_are_sorted_by_what_the_survivors_join(run_folder: Path) -> None:
    life = life_of(open_run(run_folder))
    assert life is not None
    orders, groups, score = order_of(life, {name: life.edges(name, 0) for name in life.projections})
    assert score is not None and score > 0
    for name, size in life.populations.items():
        assert sorted(orders[name].tolist()) == list(range(size)) and sum(groups[name]) == size
    again = order_of(life, {name: life.edges(name, 0) for name in life.projections})[0]
    assert all((orders[n] == again[n]).all() for n in orders)


def test_what_a_page_cannot_hold_is_left_out_and_said(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(run_folder)
    life = life_of(run)
    assert life is not None
    whole = viewer.viewer_data(run, life)
    assert len(whole["replicates"]) == 2 and not whole["notes"]
    monkeypatch.setattr(viewer, "HELD", 300)
    small = viewer.viewer_data(run, life, room=10)
    assert len(small["replicates"]) == 1
    assert [note.split(" ")[0] for note in small["notes"]] == ["The", "Of"] and "1 of 2 replicates" in small["notes"][0]
    rows, columns = small["replicates"][0]["projections"]["input-hidden1"]["of"]
    held = small["replicates"][0]["projections"]["input-hidden1"]["edges"]["edges"]
    assert held == rows * columns <= 300  # every pair was born
    monkeypatch.setattr(viewer, "LARGEST", 2000)
    section = viewer.viewer_section(run)
    assert section is not None and "2,080 births, more than the 2,000" in section.content and "<canvas" not in section.content
    assert small["alive"] == whole["alive"] and small["births"] == whole["births"]


def test_when_synapses_form_is_on_record(tmp_path: Path) -> None:
    run = open_run(make(tmp_path, "run", GROWTH, page=False))
    data = run.dataset()
    for name, mask in run.circuit.mask.items():
        death, formed = (data[f"{what}_step.{name}"].values for what in ("death", "formed"))
        for record in run.history:
            alive = (((death == -1) | (death >= record["step"])) & (death != -3) & (formed < record["step"])).sum((1, 2)) / mask[0].size
            np.testing.assert_allclose(alive, record[f"alive.{name}"], atol=1e-9)
        assert (formed > 0).any()


# -- figures --------------------------------------------------------------------------------------
def test_only_what_draws_is_let_through() -> None:
    text = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 20" onload="x()">
    <style>@import url(http://example.org/a.css);</style><script>alert(1)</script>
    <defs><clipPath id="c"><rect width="3" height="4"/></clipPath></defs>
    <g clip-path="url(#c)" onclick="x()"><path d="M 0 0
    L 1 1" style="stroke: #ff0000; fill: url(http://example.org/x); -moz-binding: url('y')"/>
    <use xlink:href="#m"/><use xlink:href="http://example.org/e.svg#m"/><a href="javascript:x()"><rect/></a>
    <image xlink:href="data:image/png;base64,AAAA"/><image xlink:href="data:image/svg+xml;base64,AAAA"/><image href="file:///etc/passwd"/>
    <text style="fill: #000000">a &lt;b&gt;</text><foreignObject><p xmlns="http://www.w3.org/1999/xhtml">p</p></foreignObject></g></svg>"""
    found = inline_svg(text, "fig", 'a "b"')
    assert 'viewBox="0 0 10 20"' in found and 'aria-label="a &quot;b&quot;"' in found and "a &lt;b&gt;" in found
    assert 'clip-path="url(#fig-c)"' in found and 'id="fig-c"' in found and 'href="#fig-m"' in found and 'd="M 0 0 L 1 1"' in found
    assert found.count("<image") == 3 and found.count("href=") == 2 and "stroke: var(--pff0000,#ff0000)" in found
    for gone in ("example.org", "script", "onload", "onclick", "style>", "foreign", "passwd", "<a", "svg+xml", "binding"):
        assert gone not in found, gone


@pytest.mark.parametrize("text", ["", "<p/>", "<svg", '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 &quot;x"/>'])
def test_what_is_no_figure_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not SVG"):
        inline_svg(text, "x", "x")


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_colours_are_readable_in_the_dark(red: int, green: int, blue: int) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    colour = f"{red:02x}{green:02x}{blue:02x}"
    dark = luminance(in_the_dark(colour))
    if luminance(f"#{colour}") < 0.3:  # what is read on white: contrast (WCAG 2.1) with the page in the dark
        assert (dark + 0.05) / (luminance("#10141a") + 0.05) > 2.9


def test_synapses_at_random_are_births_and_as_many_as_survived() -> None:
    random = np.random.default_rng(0)
    born = random.random((3, 30, 20)) < 0.3
    mask = born & (random.random(born.shape) < np.array([0.1, 0.5, 0.9])[:, None, None])
    mask[0] = False
    drawn = at_random(mask, born, random)
    assert not (drawn & ~born).any() and (drawn.sum((1, 2)) == mask.sum((1, 2))).all()
    assert 0.3 < (drawn & mask)[1].sum() / mask[1].sum() < 0.7  # half of the births are kept: by chance half of the survivors are drawn


def test_survival_by_weight_is_that_of_every_replicate() -> None:
    born = np.ones((3, 4, 3), bool)
    weight = np.where(np.arange(12).reshape(4, 3) % 2, 0.5, -0.5) * np.ones((3, 1, 1))
    weight[2] = 0.5  # has no negative births
    mask = born & (weight > 0)
    x, kept = by_weight(weight, mask, born)
    assert x.tolist() == [-0.5, 0.5] and kept[:, 1].tolist() == [1, 1, 1] and kept[:2, 0].tolist() == [0, 0] and kept.mean(0)[0] == 0
    born[0] = False  # a replicate without births, one with fewer than there are quantiles
    weight = np.arange(36.0).reshape(3, 4, 3)
    born[1, 0] = False
    x, kept = by_weight(weight, born & (weight > 18), born)
    assert kept.shape == (2, 9) and (np.diff(x) > 0).all() and kept[0].tolist() == [0] * 4 + [1] * 5 and (kept[1] == 1).all()
    assert by_weight(weight, born & False, born & False)[0].size == 0


def test_a_circuit_that_lost_everything_has_a_page_and_its_rivals_say_why(tmp_path: Path) -> None:
    kill = "rule: {name: kill, state: {x: 1}, eliminate: x > 0}\nschedule: {kind: free}\n"
    text = re.sub(r"rule: .*\nschedule: .*\n", kill, TINY).replace("hidden: [24, 16]", "hidden: [12]").replace("epochs: 2", "epochs: 1")
    run = open_run(make(tmp_path, "run", text))
    assert [(row["method"], row["density"]) for row in run.table] == [("kill", [0, 0]), ("edge-popup", None), ("random", None)]
    page = (run.folder / "report.html").read_text()
    assert (
        "the local circuit lost every synapse" in page
        and "0.0\u00a0±\u00a00.0 % of the synapses are left; test accuracy in %: kill" in page
    )
    assert sum(axes.axison for axes in receptive_fields(run).axes) == 12  # one panel a neuron, none empty


# -- sweeps and pairs -----------------------------------------------------------------------------
def test_seeds_of_a_setting_are_put_together_whatever_density_they_left() -> None:
    rows = [
        {"run": f"r{seed}{d}", "scenario": "s", "schedule.density": d, "seed": seed, "replicate": 0, "method": "rule", "regime": "frozen",
         "density": d + 0.01 * seed, "metric": metric, "value": value + 0.1 * seed}
        for seed in (0, 1, 2) for d in (0.2, 0.5) for metric, value in (("accuracy", d), ("density", d))
    ]  # fmt: skip
    data = explorer_data(rows)
    assert data["keys"] == ["schedule.density", "method", "regime", "density"] and data["metrics"] == ["accuracy", "density"]
    assert [place for place, _ in data["cells"]] == [
        [0.2, "rule", "frozen", pytest.approx(0.21)],
        [0.5, "rule", "frozen", pytest.approx(0.51)],
    ]
    n, mean, low, high = data["cells"][0][1]["accuracy"]
    half = 4.302652729911275 * 0.1 / np.sqrt(3)  # Student's t with 2 degrees of freedom
    assert (n, mean, low, high) == (3, pytest.approx(0.3), pytest.approx(0.3 - half), pytest.approx(0.3 + half))


def test_leaves_of_a_scenario() -> None:
    data = {"a": {"b": 1, "c": [1, 2]}, "d": [{"e": None}], "f": {}}
    assert leaves(data) == {"a.b": "1", "a.c": "[1, 2]", "d.0.e": "none", "f": "{}"}


# -- the command ----------------------------------------------------------------------------------
def test_one_clear_line_for_what_is_no_run(run_folder: Path, tmp_path: Path, cli: Cli) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    (copy / "results.nc").write_bytes(b"x")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    about = {k: v for k, v in json.loads((run_folder / "run.json").read_text()).items() if k not in ("results", "files", "sha256")}
    (unfinished / "run.json").write_text(json.dumps(about | {"status": "interrupted"}))
    odd = tmp_path / "odd"
    shutil.copytree(run_folder, odd)
    about = json.loads((run_folder / "run.json").read_text())
    (odd / "run.json").write_text(json.dumps(seal.sealed({k: v for k, v in about.items() if k != seal.OWN} | {"kind": "odd"})))
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    (sweep / "sweep.json").write_text('{"jobs": 3}')
    for arguments, words in (
        ((tmp_path,), "is not a run directory, nor the folder of a sweep: it holds neither"),
        ((tmp_path / "none",), "it is no folder"),
        ((copy,), "results.nc is damaged"),
        ((unfinished,), "has not finished: its status is 'interrupted'"),
        ((odd,), "run.json does not hold what a report shows: KeyError: 'odd'"),
        ((sweep,), "sweep.json cannot be read"),
        ((run_folder, run_folder), "is compared with itself"),
        ((run_folder, sweep), "is the folder of a sweep"),
        ((run_folder, "--out", tmp_path / "x.html"), "--out is for the page of two runs"),
    ):
        code, out, err = cli("report", *map(str, arguments))
        assert code == 2 and words in err and len(err.strip().splitlines()) == 1 and not out, (arguments, err)
    assert not list(tmp_path.glob("*.html"))


def test_the_page_of_a_finished_run_is_written_again(run_folder: Path, tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    (folder / "report.html").unlink()
    code, out, _ = cli("report", str(folder))
    assert code == 0 and out.strip() == str(folder / "report.html")
    assert (folder / "report.html").read_bytes() == (run_folder / "report.html").read_bytes()


def test_runs_of_other_kinds_are_compared_as_far_as_they_can_be(run_folder: Path, tmp_path: Path, cli: Cli) -> None:
    other = make(tmp_path, "two", CONDITIONS, page=False)
    code, out, err = cli("report", str(run_folder), str(other), "--out", str(tmp_path / "both.html"))
    assert code == 0, err
    text = Path(out.strip()).read_text()
    assert "these are of the kinds development and conditions" in text and text.count('data-viewer=""') == 1
    assert not re.search(r'(src|href)="(?!#|\?|data:|conditions/)', text)

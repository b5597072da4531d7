"""The viewer of a page, by mouse and by keyboard, held against what the run left on disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened_pages import CHROMIUM

from biosim.report import viewer
from biosim.report.life import life_of
from biosim.report.shell import VIEWER, page, write_page
from biosim.report.viewer import viewer_data
from biosim.store import Run, open_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def there(run: Any, step: int, replicate: int = 0) -> dict[str, np.ndarray]:
    """Return which synapses live after so many steps, by projection, from what the run left on disk."""
    data = run.dataset()
    found = {}
    for name in run.circuit.mask:
        death = data[f"death_step.{name}"].values[replicate]
        found[name] = (death == -1) | (death >= step)
        if f"formed_step.{name}" in data:
            found[name] &= data[f"formed_step.{name}"].values[replicate] < step
    return found


def test_the_slider_moves_the_density_shown(pages: dict[str, Path], runs: dict[str, Path], read: Any) -> None:
    run, reader = open_run(runs["development"]), read(pages["development"])
    births = sum(int(b[0].sum()) for b in run.circuit.born.values())
    last = int(reader.part("time").get_attribute("max"))
    seen = []
    for frame in (0, last // 3, last, last // 2):
        reader.seek(frame)
        alive = there(run, reader.shown("step"))
        count = sum(int(a.sum()) for a in alive.values())
        assert reader.shown("alive") == count and reader.shown("held") == int(alive["input-hidden1"].sum())
        said = reader.part("readout").text_content()
        assert said.startswith(f"Density {100 * count / births:.1f} %: {count:,} of {births:,} synapses alive")
        seen.append(count)
    assert seen[0] == births and seen[2] == sum(int(m[0].sum()) for m in run.circuit.mask.values()) < seen[1] < births
    assert reader.part("readout").get_attribute("aria-live") == "polite"


def shown(run: Run) -> dict[str, Any]:
    """Return what the viewer shows of a run."""
    life = life_of(run)
    assert life is not None
    return viewer_data(run, life)


@pytest.mark.parametrize("kind", ["development", "growth", "activity", "spiking"])
def test_the_density_of_a_frame_is_the_one_recorded(kind: str, runs: dict[str, Path]) -> None:
    run = open_run(runs[kind])
    data = shown(run)
    alive, births = (np.sum([data[what][name] for name in data["alive"]], 0) for what in ("alive", "births"))
    compared = 0
    for record in run.history:
        step = round(record["time"] / run.spiking_circuit.dt) if kind == "spiking" else record["step"]
        if step in data["at"]:
            np.testing.assert_allclose(alive[:, data["at"].index(step)] / births, record["density"], atol=1e-9)
            compared += 1
    assert compared >= 3


def test_synapses_that_came_back_are_spoken_of(runs: dict[str, Path]) -> None:
    data = shown(open_run(runs["regrowth"]))
    assert "only the last life of each is on record" in data["notes"][0]
    history = open_run(runs["regrowth"]).history
    assert [(step, density) for step, density in data["recorded"]] == [(r["step"], r["density"]) for r in history]


def test_play_and_pause(pages: dict[str, Path], read: Any) -> None:
    reader = read(pages["development"])
    button = reader.part("play")
    button.click()
    assert button.text_content() == "Pause" and button.get_attribute("aria-pressed") == "true"
    assert reader.part("readout").get_attribute("aria-live") == "off"
    reader.until("+document.querySelector('[data-viewer]').dataset.frame >= 2")
    button.click()
    frame = reader.shown("frame")
    reader.page.wait_for_timeout(150)
    assert reader.shown("frame") == frame and button.text_content() == "Play"
    last = json.loads(reader.page.text_content('[data-viewer=""] script'))["at"][-1]
    assert f"?t={round(100 * reader.shown('step') / last, 2):g}&" in reader.page.url


def test_motion_is_reduced_where_a_reader_asks_for_it(pages: dict[str, Path], read: Any) -> None:
    reader = read(pages["development"], reduced_motion="reduce")
    reader.page.evaluate("window.seen = new Set(); new MutationObserver(() => seen.add(document.querySelector('[data-viewer]').dataset.frame))"
                         ".observe(document.querySelector('[data-viewer]'), {attributes: true})")  # fmt: skip
    reader.part("play").click()
    reader.until("+document.querySelector('[data-viewer]').dataset.frame >= 4")
    reader.part("play").click()
    step = -(-int(reader.part("time").get_attribute("max")) // 10)
    assert all(int(frame) % step == 0 for frame in reader.page.evaluate("[...window.seen]"))


def test_a_click_chooses_a_neuron_and_shows_its_inputs(pages: dict[str, Path], runs: dict[str, Path], read: Any) -> None:
    run, reader = open_run(runs["development"]), read(pages["development"], "?t=100&order=number")
    box = reader.part("heat").bounding_box()
    reader.part("heat").click(position={"x": box["width"] * 7.5 / 24, "y": 20})
    assert reader.part("neuron").input_value() == "7"
    mask = run.circuit.mask["input-hidden1"][0][:, 7]
    assert f"Neuron 7 of hidden1: {int(mask.sum())} of 64 inputs from input alive" in reader.part("field-said").text_content()
    assert "8 \u00d7 8 pixels" in reader.part("field-said").text_content()
    painted = reader.part("field").evaluate("""c => { const all = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, found = [];
        for (let i = 0; i < 64; i++) {
          const x = Math.floor((i % 8 + .5) * c.width / 8), y = Math.floor((Math.floor(i / 8) + .5) * c.height / 8);
          found.push([...all.slice(4 * (y * c.width + x), 4 * (y * c.width + x) + 3)]);
        }
        return found; }""")
    weight = run.circuit.weight["input-hidden1"][0][:, 7]
    for pixel, alive, w in zip(painted, mask, weight, strict=True):
        assert (pixel == [255, 255, 255]) == (not alive)
        assert not alive or (pixel[0] > pixel[2]) == (w > 0)
    net = reader.part("net").bounding_box()
    reader.part("net").click(position={"x": net["width"] - 34, "y": 26 + (net["height"] - 40) * 0.05})  # first of the output neurons shown
    assert reader.part("projection").evaluate("s => s.selectedOptions[0].textContent") == "hidden2-output"


def test_an_address_leads_to_a_moment(pages: dict[str, Path], runs: dict[str, Path], read: Any) -> None:
    query = "?t=40&projection=hidden1-hidden2&replicate=1&neuron=5&colour=weight&order=number"
    reader = read(pages["development"], query)
    data = json.loads(reader.page.text_content('[data-viewer=""] script'))
    steps = np.array(data["at"])
    assert reader.shown("step") == steps[np.abs(steps - 0.4 * steps[-1]).argmin()]
    run = open_run(runs["development"])
    alive = there(run, reader.shown("step"), 1)
    assert reader.shown("alive") == sum(int(a.sum()) for a in alive.values())
    assert reader.shown("held") == int(alive["hidden1-hidden2"].sum())
    assert reader.part("field-said").text_content().startswith(f"Neuron 5 of hidden2: {int(alive['hidden1-hidden2'][:, 5].sum())} of 24")
    again = read(pages["development"], reader.part("link").get_attribute("href"))
    assert again.part("readout").text_content() == reader.part("readout").text_content()
    odd = read(pages["development"], "?t=x&projection=nowhere&replicate=99&neuron=-3&colour=plaid")
    assert odd.shown("frame") == 0 and odd.part("projection").input_value() == "0"


def test_by_keyboard_alone(pages: dict[str, Path], read: Any) -> None:
    reader = read(pages["development"])
    press = reader.page.keyboard.press
    for _ in range(40):
        press("Tab")
        if reader.page.evaluate("document.activeElement.dataset.part") == "time":
            break
    press("ArrowRight")
    press("ArrowRight")
    assert reader.shown("frame") == 2
    assert "% of development, density" in reader.part("time").get_attribute("aria-valuetext")
    press("End")
    assert reader.shown("frame") == int(reader.part("time").get_attribute("max"))
    press("Home")
    press("Space")
    reader.until("+document.querySelector('[data-viewer]').dataset.frame >= 1")
    press("Space")
    assert reader.part("play").text_content() == "Play"
    reader.part("neuron").focus()
    reader.part("neuron").fill("3")
    press("Enter")
    press("ArrowUp")
    reader.until("document.querySelector('[data-part=field-said]').textContent.startsWith('Neuron 4 ')")
    reader.part("colour").focus()
    press("ArrowDown")
    reader.until("location.search.includes('colour=weight')")


def test_what_a_page_does_not_hold_is_not_called_dead(
    runs: dict[str, Path], tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "HELD", 300)
    section = viewer.viewer_section(open_run(runs["development"]))
    assert section is not None
    reader = read(write_page(tmp_path / "page.html", page("part", "<h1>Part</h1>", [section], VIEWER)), "?t=0&order=number")
    box = reader.part("heat").bounding_box()
    spoken = set()
    for column in range(0, 24, 4):
        reader.part("heat").click(position={"x": box["width"] * (column + 0.5) / 24, "y": 20})
        found = re.match(r"Neuron (\d+) of hidden1: (\d+) of (\d+) inputs held from input alive", reader.part("field-said").text_content())
        assert found and found[2] == found[3] != "0"
        spoken.add(int(found[1]))
    assert 1 < len(spoken) < 24
    reader.part("neuron").fill(str(next(k for k in range(24) if k not in spoken)))
    reader.page.keyboard.press("Enter")
    assert "the page holds no synapses" in reader.part("field-said").text_content()


def test_what_is_drawn_is_said(pages: dict[str, Path], read: Any) -> None:
    reader = read(pages["development"], "?t=100")
    said = reader.part("net-said").text_content()
    found = re.match(r"Showing ([\d,]+) of ([\d,]+) synapses", said)
    assert found and int(found[1].replace(",", "")) == reader.shown("drawn") <= reader.shown("alive") == int(found[2].replace(",", ""))
    for part in ("heat", "net", "field"):
        label = reader.part(part).get_attribute("aria-label")
        assert reader.part(f"{part}-said").text_content() in label and len(label) > 60


def test_two_runs_have_a_viewer_each(pages: dict[str, Path], read: Any) -> None:
    page = read(pages["pair"], "?t=100&b-t=0").page
    shown = page.eval_on_selector_all("[data-viewer]", "all => all.map(v => +v.dataset.alive)")
    assert len(shown) == 2 and shown[0] < shown[1]
    text = page.inner_text("main")
    assert "rule.feedback" in text and "reciprocal" in text and "same synapses?" in text

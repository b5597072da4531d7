"""Pages as a reader has them: opened from disk in headless Chromium, the network off, in light and dark, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_pages import CONDITIONS, DEVELOPMENT, GROWTH, REGROWTH, SPIKING, make, study

from biosim.report import viewer, write_report
from biosim.report.pair import write_pair_report
from biosim.report.parts import percent
from biosim.report.shell import VIEWER, page, write_page
from biosim.report.sweep_page import write_sweep_report
from biosim.report.viewer import viewer_data
from biosim.rundir import seal
from biosim.store import open_run
from biosim.sweep.executor import Means
from biosim.sweep.plan import make_plan
from biosim.sweep.run import State, carry_out

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
KINDS = ["development", "spiking", "study", "conditions", "activity", "sweep", "pair"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the directory of a run of every kind."""
    folder = tmp_path_factory.mktemp("pages")
    texts = {"development": DEVELOPMENT, "spiking": SPIKING, "conditions": CONDITIONS}
    found = {name: make(folder, name, text) for name, text in texts.items()} | {"study": study(folder)}
    found["other"] = make(folder, "other", DEVELOPMENT, ("rule.feedback=reciprocal", "rivals=[]", "checks=[]"), page=False)
    found |= {name: make(folder, name, text, page=False) for name, text in (("growth", GROWTH), ("regrowth", REGROWTH))}
    found["activity"] = found["conditions"] / "conditions" / "waves"
    return found


@pytest.fixture(scope="module")
def pages(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a page of every kind."""
    folder = tmp_path_factory.mktemp("more")
    found = {name: place / "report.html" for name, place in runs.items()}
    found["pair"] = write_pair_report(open_run(runs["development"]), open_run(runs["other"]), folder / "pair.html", nulls=2)
    found["sweep"] = write_sweep_report(swept(folder, runs["study"].parent / "study.yaml"))
    return found


def swept(folder: Path, scenario: Path) -> Path:
    """Return the folder of a sweep of two settings and two seeds, of a study (its densities are none) as it is done in this process."""
    plan = make_plan(str(scenario), {"study.draws": ("50", "400")}, (0, 1), out=folder / "sweep")
    from biosim.sweep.work import perform

    for job in plan.jobs:
        perform(job.data())
    carry_out(State.of(plan), Means(plan.folder, 1), "local", lambda *_: None)
    return plan.folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


class Reader:
    """A page that was opened, and all that it asked for or complained of."""

    def __init__(self, browser: Any, width: int = 1100, **options: Any) -> None:
        context = browser.new_context(viewport={"width": width, "height": 800}, offline=True, **options)
        self.page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path, query: str = "") -> None:
        self.requests.clear()
        self.page.goto(f"{path.as_uri()}{query}", wait_until="domcontentloaded")
        if self.page.query_selector("[data-viewer]"):
            self.until("[...document.querySelectorAll('[data-viewer]')].every(v => v.dataset.ready)")

    def until(self, holds: str) -> None:
        """Wait for something to hold; the page's policy forbids what Playwright's own waiting does."""
        end = time.monotonic() + 20
        while not self.page.evaluate(holds):
            assert time.monotonic() < end, f"never came true: {holds}"
            time.sleep(0.02)

    def part(self, name: str) -> Any:
        return self.page.locator(f'[data-viewer=""] [data-part="{name}"]')

    def shown(self, key: str) -> int:
        return int(self.page.get_attribute('[data-viewer=""]', f"data-{key}"))

    def seek(self, frame: int) -> None:
        self.part("time").evaluate("(e, f) => { e.value = f; e.dispatchEvent(new Event('input', {bubbles: true})); }", frame)


@pytest.fixture(scope="module")
def readers(browser: Any) -> dict[str, Reader]:
    """Return the pages of the browser that are open, by how they were opened."""
    return {}


@pytest.fixture
def read(browser: Any, readers: dict[str, Reader]) -> Iterator[Any]:
    """Open a page from disk; once the test is over, it must have asked for nothing and complained of nothing."""
    used: list[Reader] = []

    def opener(path: Path, query: str = "", **options: Any) -> Reader:
        reader = readers.get(str(options)) or readers.setdefault(str(options), Reader(browser, **options))
        if reader not in used:
            used.append(reader)
        reader.open(path, query)
        return reader

    yield opener
    for reader in used:
        faults, reader.faults = reader.faults, []
        assert not faults
        assert all(url.startswith(("file:", "data:")) for url in reader.requests)
        assert sum(url.startswith("file:") for url in reader.requests) == 1  # the page itself, nothing beside it
        reader.page.emulate_media(color_scheme="light")


def serious(page: Any, rules: list[str] | None = None) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"resultTypes": ["violations"]} | ({"runOnly": {"type": "rule", "values": rules}} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found if v["impact"] in ("serious", "critical")]


# -- every kind -----------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_opens_fits_a_phone_and_is_accessible(kind: str, pages: dict[str, Path], read: Any) -> None:
    page = read(pages[kind], width=390).page
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert not serious(page)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    assert not serious(page, ["color-contrast"])
    links = page.eval_on_selector_all("nav.toc a", "links => links.map(a => document.querySelector(a.getAttribute('href')) !== null)")
    assert len(links) >= 3 and all(links)


def test_figures_follow_the_page_into_the_dark(pages: dict[str, Path], read: Any) -> None:
    texts, page = {}, read(pages["development"]).page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        texts[scheme] = page.eval_on_selector("figure svg text", "t => getComputedStyle(t).fill")
    bright = {scheme: sum(map(int, re.findall(r"\d+", fill)[:3])) for scheme, fill in texts.items()}
    assert bright["light"] < 100 and bright["dark"] > 600


def test_paper_is_light_and_nothing_is_cut_off(pages: dict[str, Path], read: Any) -> None:
    page = read(pages["development"], width=718).page  # A4 less its margins
    corner = "c => [...c.getContext('2d').getImageData(3, c.height - 3, 1, 1).data].slice(0, 3)"  # of a canvas: its paper
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(200)
    page.emulate_media(color_scheme="dark", media="print")
    assert page.locator("canvas[data-part=net]").evaluate(corner) == [255, 255, 255]
    assert page.evaluate("document.documentElement.scrollWidth") == 718
    page.emulate_media(media="screen")


def test_the_page_says_what_it_should(pages: dict[str, Path], read: Any, runs: dict[str, Path]) -> None:
    page = read(pages["development"]).page
    text, run = page.inner_text("body"), open_run(runs["development"])
    for wanted in (
        "Does it work?",
        "It does.",
        "1 of 2 checks passed",
        f"of the synapses are left; test accuracy in %: three-factor {percent(run.table[0]['accuracy'])}; random ".replace(
            " ± ", "\u00a0±\u00a0"
        ),
        "broadcast",
        "biosim run tiny.yaml",
        run.about["id"],
        run.about["data_sha256"],
    ):
        assert wanted in text
    assert "schedule: {kind: decreasing-rate, density: 0.3}" in page.text_content("details pre")
    assert page.get_by_role("img", name="Surviving inputs of single").count() == 1
    assert read(pages["spiking"]).page.get_by_role("img", name="Spikes of the first replicate").count() == 1


BAD = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"'"


def smuggled(folder: Path, of: Path) -> Path:
    """Return a copy of a run whose every text holds markup, and whose figures act, with checksums that agree."""
    shutil.copytree(of, folder)
    about = json.loads((folder / "run.json").read_text())

    def spoil(data: Any, key: str = "") -> Any:
        if isinstance(data, dict):
            return {k: spoil(v, k) for k, v in data.items()}
        if isinstance(data, list):
            return [spoil(v, key) for v in data]
        return f"{data} {BAD}" if isinstance(data, str) and key in SPOILT else data

    spoilt = {k: v if k in ("files", "document", "id", "kind", "status") else spoil(v, k) for k, v in about.items()}
    for path in (folder / "figures").glob("*.svg"):
        evil = "<script>window.hacked = 1</script><image href='http://example.org/x.png'/><foreignObject><body onload='window.hacked = 1'/></foreignObject>"
        path.write_text(
            path.read_text().replace('<g id="figure_1"', f"{evil}<g id='figure_1' onclick='x()' style='fill:url(http://example.org/a)'", 1)
        )
    spoilt["files"] = {name: seal.of_file(folder / name) for name in about["files"]}
    (folder / "run.json").write_text(json.dumps(seal.sealed({k: v for k, v in spoilt.items() if k != seal.OWN})))
    return folder


SPOILT = {
    "name", "question", "headline", "source", "needs", "what", "method", "note", "locality", "device", "biosim", "signals", "data_source",
    "evaluated_on", "memory", "synapse", "coincidences", "parameters", "rate",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # names as long as these leave a figure no room
@pytest.mark.parametrize("kind", ["development", "study"])
def test_text_of_a_stranger_stays_text(kind: str, runs: dict[str, Path], tmp_path: Path, read: Any) -> None:
    folder = smuggled(tmp_path / "run", runs[kind])
    page = read(write_report(open_run(folder))).page
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0 and page.locator("foreignObject, svg script, [onclick]").count() == 0
    assert page.inner_text("h1").count("<script>") == 1 and page.title().count("<script>") == 1
    assert page.locator("script:not([type])").count() == 1  # the page's own
    assert "example.org" not in page.content()


# -- the viewer -----------------------------------------------------------------------------------
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


@pytest.mark.parametrize("kind", ["development", "growth", "activity", "spiking"])
def test_the_density_of_a_frame_is_the_one_recorded(kind: str, runs: dict[str, Path]) -> None:
    run = open_run(runs[kind])
    data = viewer_data(run)
    assert data is not None
    alive, births = (np.sum([data[what][name] for name in data["alive"]], 0) for what in ("alive", "births"))
    compared = 0
    for record in run.history:
        step = round(record["time"] / run.spiking_circuit.dt) if kind == "spiking" else record["step"]
        if step in data["at"]:
            np.testing.assert_allclose(alive[:, data["at"].index(step)] / births, record["density"], atol=1e-9)
            compared += 1
    assert compared >= 3


def test_synapses_that_came_back_are_spoken_of(runs: dict[str, Path]) -> None:
    data = viewer_data(open_run(runs["regrowth"]))
    assert data is not None and "only the last life of each is on record" in data["notes"][0]
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


# -- sweeps and pairs -----------------------------------------------------------------------------
def test_a_sweep_is_filtered(pages: dict[str, Path], read: Any) -> None:
    page = read(pages["sweep"]).page
    root = page.locator("[data-sweep]")
    assert root.get_attribute("data-points") == "2"
    assert page.locator("[data-sweep] table tbody tr").count() == 2
    labels = page.eval_on_selector_all("[data-key='study.draws'] option", "all => all.map(o => o.textContent)")
    page.select_option("[data-key='study.draws']", label=next(label for label in labels if label.startswith("400")))
    assert root.get_attribute("data-points") == "1"
    row = page.locator("[data-sweep] table tbody tr").inner_text()
    folder = pages["sweep"].parent
    values = [r for r in (folder / "results.csv").read_text().splitlines() if ",400.0," in r and "study.error" in r]
    mean = np.mean([float(r.rsplit(",", 1)[1]) for r in values])
    assert f"{mean:.4g}" in row and len(values) == 2


def test_two_runs_have_a_viewer_each(pages: dict[str, Path], read: Any) -> None:
    page = read(pages["pair"], "?t=100&b-t=0").page
    shown = page.eval_on_selector_all("[data-viewer]", "all => all.map(v => +v.dataset.alive)")
    assert len(shown) == 2 and shown[0] < shown[1]
    text = page.inner_text("main")
    assert "rule.feedback" in text and "reciprocal" in text and "same synapses?" in text

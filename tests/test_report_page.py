"""Pages as a reader has them: opened from disk in headless Chromium, the network off, in light and dark, on a phone and on paper."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened_pages import CHROMIUM

from biosim.report import write_report
from biosim.report.parts import percent
from biosim.rundir import seal
from biosim.store import open_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
KINDS = ["development", "spiking", "study", "conditions", "activity", "sweep", "pair"]


def serious(page: Any, rules: list[str] | None = None) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"resultTypes": ["violations"]} | ({"runOnly": {"type": "rule", "values": rules}} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found if v["impact"] in ("serious", "critical")]


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

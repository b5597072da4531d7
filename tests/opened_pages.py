"""Pages of every kind, and a browser without a network that reads them: fixtures of the tests of pages.

Every test file loads this one: what is heavy is imported where it is used.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the directory of a run of every kind."""
    from report_pages import CONDITIONS, DEVELOPMENT, GROWTH, REGROWTH, SPIKING, make, study

    folder = tmp_path_factory.mktemp("pages")
    texts = {"development": DEVELOPMENT, "spiking": SPIKING, "conditions": CONDITIONS}
    found = {name: make(folder, name, text) for name, text in texts.items()} | {"study": study(folder)}
    found["other"] = make(folder, "other", DEVELOPMENT, ("rule.feedback=reciprocal", "rivals=[]", "checks=[]"), page=False)
    found |= {name: make(folder, name, text, page=False) for name, text in (("growth", GROWTH), ("regrowth", REGROWTH))}
    found["activity"] = found["conditions"] / "conditions" / "waves"
    return found


@pytest.fixture(scope="session")
def pages(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a page of every kind."""
    from biosim.report.pair import write_pair_report
    from biosim.store import open_run
    from biosim.sweep.page import write_sweep_report

    folder = tmp_path_factory.mktemp("more")
    found = {name: place / "report.html" for name, place in runs.items()}
    found["pair"] = write_pair_report(open_run(runs["development"]), open_run(runs["other"]), folder / "pair.html", nulls=2)
    found["sweep"] = write_sweep_report(swept(folder, runs["study"].parent / "study.yaml"))
    return found


def swept(folder: Path, scenario: Path) -> Path:
    """Return the folder of a sweep of two settings and two seeds, of a study (its densities are none) as it is done in this process."""
    from biosim.sweep.executor import Means
    from biosim.sweep.plan import make_plan
    from biosim.sweep.run import State, carry_out
    from biosim.sweep.work import perform

    plan = make_plan(str(scenario), {"study.draws": ("50", "400")}, (0, 1), out=folder / "sweep")
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

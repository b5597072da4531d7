"""Pictures of a report for the documentation: ``python docs/screenshots.py RUN`` writes docs/report-light.png and its like.

RUN is a finished run with a network, such as that of ``biosim run local-vs-global``. Needs Chromium and the package playwright.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

COLOURS = 96  # of a picture: a heat map is noise to a compressor
SHOTS = {  # name: width, height, colours, what stands at the top
    "report-light": (1000, 860, "light", "header"),
    "report-dark": (1000, 860, "dark", "#viewer"),
    "report-phone": (390, 844, "light", "#viewer"),
}


def main(run: Path, query: str = "?t=40") -> None:
    """Open the page of a run and take every picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (width, height, colours, top) in SHOTS.items():
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=colours, offline=True)  # type: ignore[arg-type]
            page = context.new_page()
            page.goto(f"{(run / 'report.html').resolve().as_uri()}{query}")
            page.locator("[data-viewer][data-ready]").first.wait_for()
            page.locator(top).first.evaluate("e => scrollTo({top: e.getBoundingClientRect().top + scrollY - 60, behavior: 'instant'})")
            page.wait_for_timeout(200)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(Path(__file__).parent / f"{name}.png", optimize=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

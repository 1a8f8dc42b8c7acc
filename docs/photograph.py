"""Take the README's pictures of a report, in Chromium: `python docs/photograph.py RUN/report.html`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
VIEWS = {"report-1280": (1280, 1240), "report-390": (390, 1000)}
"""By file name, width and height of the window."""


def main(page: Path) -> None:
    """Photograph the top of a page at the widths of a screen and of a phone."""
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as profile:
        browser = driver.chromium.launch_persistent_context(
            profile, executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page()
        for name, (width, height) in VIEWS.items():
            tab.set_viewport_size({"width": width, "height": height})
            tab.goto(page.resolve().as_uri())
            tab.screenshot(path=HERE / "pictures" / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

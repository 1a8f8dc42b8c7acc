"""Reports in a real browser, where there is one: no error, no request, nothing wider than the window."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
from html_page import Page

from kdseg.engine.report.write import write_report

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--no-sandbox",  # which the superuser may not have
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = (390, 1280)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests here, with a profile of its own."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        profile = tmp_path_factory.mktemp("profile")
        context = driver.chromium.launch_persistent_context(str(profile), executable_path=CHROMIUM, args=[*OPTIONS])
        yield context
        context.close()


class Seen:
    """A page in the browser, with what it said and asked for."""

    def __init__(self, browser, path):
        self.tab = browser.new_page()
        self.said, self.asked = [], []
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(path.as_uri())

    def look(self, width, scheme):
        self.tab.set_viewport_size({"width": width, "height": 844})
        self.tab.emulate_media(color_scheme=scheme)
        data = self.tab.screenshot(full_page=True)
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture
def seen(browser, tmp_path):
    """Open the report of some runs."""
    opened = []

    def seen(*runs):
        path = tmp_path / "report.html"
        write_report(runs, path)
        opened.append(Seen(browser, path))
        return opened[-1]

    yield seen
    for one in opened:
        one.tab.close()


@pytest.fixture
def rich(made, confused, pictured):
    """A run with something in every part, and long words where they may be."""
    folder = made(changed={"name": "a_name_that_is_as_long_as_a_folder_may_be_" * 4})
    names = [f"class {number} of a data set that has many" for number in range(40)]
    for name in ("teacher", "student"):
        confused(folder, name, names, np.eye(40, dtype=int).tolist())
    pictured(folder, "comparison.png", 1900, 600)
    for step in (10, 20, 30):
        pictured(folder, f"layer-maps-{step:08d}.png", 500, 300)
    with (folder / "log.txt").open("a") as file:
        file.write(f"2026-01-01 00:00:01,123 WARNING {'path/' * 60}\n")
    return folder


def overflow(tab):
    return tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize("several", [False, True])
def test_a_page_is_silent_asks_nobody_and_fits_its_window(seen, rich, made, several):
    page = seen(rich, made("b/20260101-000000"), made("c/20260101-000000")) if several else seen(rich)
    for width in WIDTHS:
        light, dark = page.look(width, "light"), page.look(width, "dark")
        assert overflow(page.tab) == 0, width
        assert light.shape[1] == dark.shape[1] == width
        assert light[:8].mean() > 180  # the background at the top
        assert dark[:8].mean() < 60
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(("file://", "data:"))] == []


def test_pictures_are_whole_and_curves_are_drawn(seen, rich):
    tab = seen(rich).tab
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    widths = tab.evaluate("Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))")
    assert widths == [1600, 500, 500, 500]
    drawn = tab.evaluate("[...document.querySelectorAll('.chart > svg .line')].map(line => line.getTotalLength())")
    assert len(drawn) == 17
    assert min(drawn) > 0
    strokes = tab.evaluate("[...document.querySelectorAll('.line')].map(line => getComputedStyle(line).stroke)")
    assert "none" not in strokes


def test_it_is_used_by_keyboard(seen, rich):
    tab = seen(rich).tab
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().left") >= 0  # it shows itself
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#content"
    tab.evaluate("document.querySelector('#pictures summary').focus()")
    before = tab.evaluate("document.querySelector('#pictures details').open")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.querySelector('#pictures details').open") is not before


CONTRASTS = """() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor
      if (c !== 'rgba(0, 0, 0, 0)' && c.startsWith('rgb(')) return c } return 'rgb(255, 255, 255)' }
  const found = []
  const texts = 'p, li, a, h1, h2, h3, th, td, dt, dd, summary, figcaption, code, pre span, .chip, .muted'
  for (const e of document.querySelectorAll(texts)) {
    if (!e.innerText || !e.offsetParent || e.closest('.matrix td')) continue
    const a = light(getComputedStyle(e).color), b = light(behind(e))
    const where = e.tagName + '.' + e.className + ' ' + e.innerText.slice(0, 40)
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), where])
  }
  return found.sort((x, y) => x[0] - y[0])[0]
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(seen, rich, made, scheme):
    for page in (seen(rich), seen(rich, made("b/20260101-000000"))):
        page.tab.emulate_media(color_scheme=scheme)
        contrast, where = page.tab.evaluate(CONTRASTS)
        assert contrast >= 4.5, where


def test_names_do_nothing(seen, made):
    name = "<img src=x onerror=document.title='broken'><script>document.title='broken'</script>"
    lines = [{"kind": "step", "step": 1, "turn": name, f"loss/{name}": 1.0}, {"kind": "callback", "step": 1, name: 1.0}]
    page = seen(made(recipe={"name": name, "models": {name: {}}, "terms": {name: {"learner": name}}}, lines=lines))
    assert page.tab.title() == f"{name} · kdseg report"
    assert page.said == []
    assert not Page(page.tab.content()).find("script")

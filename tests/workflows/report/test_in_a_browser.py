"""How a report looks in a browser: widths, light and dark, contrast, nothing that fails to load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import headless


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[headless.Browser]:
    if reason := headless.missing():
        pytest.skip(reason)
    with headless.browsing(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_in_a_browser(browser: headless.Browser, written: tuple[Path, dict[str, Any]], width: int, dark: bool) -> None:
    page, _ = written
    assert headless.faults(browser, page, width=width, dark=dark) == []
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(22, 24, 28)" if dark else "rgb(255, 255, 255)")
    pictures, shown = browser.run("return [document.images.length, document.querySelectorAll('svg').length]")
    assert pictures > 100
    assert shown > 10
    # With every part unfolded, and after the switch has been used, all is well too.
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    browser.run("document.getElementById('theme').click()")
    assert browser.run("return getComputedStyle(document.body).backgroundColor") != paper
    assert headless.faults_shown(browser) == []
    wide = browser.run("return [...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)")
    assert wide is True or width == 1400  # what is too wide scrolls in its own box


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<p style='width:2000px'>wide</p>", "page is 20"),
        ("<img src='data:image/png;base64,AAAA' alt='x'>", "1 picture"),
        ("<script>throw new Error('oh')</script>", "oh"),
        ("<p style='color:#eee;background:#fff'>pale</p>", "contrast"),
        ("<img src='none.png' alt='x'>", "none.png"),
    ],
)
def test_the_browser_finds_faults(browser: headless.Browser, tmp_path: Path, body: str, said: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><html lang=en><meta charset=utf-8><title>t</title><body>{body}</body></html>")
    found = headless.faults(browser, page, width=400, dark=False)
    assert any(said in fault for fault in found), found

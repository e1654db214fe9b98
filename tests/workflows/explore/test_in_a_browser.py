"""The page in a browser: a photograph is dropped, its tasks are seen, a pixel is clicked, attention moves."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

import vtadapt
from tests import headless
from tests.workflows.explore.conftest import Page, photograph

# As the browser does when a file is let go over the page.
DROP = """
const bytes = Uint8Array.from(atob({data}), c => c.charCodeAt(0)), held = new DataTransfer();
held.items.add(new File([bytes], {name}));
document.querySelector(".drop").dispatchEvent(
    new DragEvent("drop", {{dataTransfer: held, bubbles: true, cancelable: true}}));
"""
MAPS = "return [...document.querySelectorAll('#maps img')].map(image => image.src)"
VALUES = "return [...document.querySelectorAll('#cards figcaption span')].map(value => value.textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[headless.Browser]:
    if reason := headless.missing():
        pytest.skip(reason)
    with headless.browsing(tmp_path_factory.mktemp("chromium")) as found:
        yield found


def drop(browser: headless.Browser, name: str, data: bytes) -> None:
    encoded = json.dumps(base64.b64encode(data).decode())
    browser.run(DROP.format(data=encoded, name=json.dumps(name)))


def until(browser: headless.Browser, condition: str) -> None:
    """Wait until a condition is true on the page."""
    end = time.monotonic() + 60
    while not browser.run(f"return {condition}"):
        assert time.monotonic() < end, browser.run("return document.body.innerText")
        time.sleep(0.05)


def click(browser: headless.Browser, x: float, y: float) -> None:
    """Press and let go the mouse at a point of the window."""
    for kind in ("mousePressed", "mouseReleased"):
        place = {"x": x, "y": y, "button": "left", "clickCount": 1}
        browser.devtools("Input.dispatchMouseEvent", {"type": kind, **place})


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)], ids=["light", "dark"])
def test_in_a_browser(browser: headless.Browser, page: Page, tiny: Any, width: int, dark: bool) -> None:
    tasks = len(vtadapt.load(tiny.run).tasks)
    assert headless.faults(browser, page.address, width=width, dark=dark) == []

    drop(browser, "<b>photo</b>.png", photograph(40, 56))
    until(browser, "document.querySelectorAll('#maps img').length > 0 && [...document.images].every(i => i.complete)")
    assert headless.faults_shown(browser) == []
    assert browser.run("return document.querySelectorAll('#cards figure').length") == tasks
    assert browser.run("return document.getElementById('status').textContent").startswith("<b>photo</b>.png: ")
    before, values = browser.run(MAPS), browser.run(VALUES)
    assert len(before) == tasks + 1
    assert len(values) == tasks
    assert all(values)

    # The line between input and prediction follows the slider.
    browser.run(
        "const mix = document.getElementById('mix'); mix.value = 25; mix.dispatchEvent(new Event('input'));"
        "document.querySelector('#cards .stage').scrollIntoView({block: 'center'})"
    )
    clip = "return getComputedStyle(document.querySelector('.over')).clipPath"
    assert browser.run(clip) == "inset(0px 0px 0px 25%)"

    box = browser.run(
        "const b = document.querySelector('#cards .stage').getBoundingClientRect();return [b.x, b.y, b.width, b.height]"
    )
    click(browser, box[0] + 0.05 * box[2], box[1] + 0.94 * box[3])
    until(browser, "document.getElementById('where').textContent === 'pixel 2,37'")
    after = browser.run(MAPS)
    assert len(after) == tasks + 1
    assert not {*before} & {*after}

    browser.run("document.querySelector('input[value=gaps]').click()")
    assert len({*browser.run(MAPS)} - {*after}) == tasks
    assert headless.faults_shown(browser) == []

    drop(browser, "notes.txt", b"hello")
    until(browser, "!document.getElementById('error').hidden")
    line = browser.run("return document.getElementById('error').textContent")
    assert line == "notes.txt: broken picture (no picture of a known format)"
    asked = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(name.startswith(page.address) for name in asked)
    browser.log()  # that an answer was no success stands in the console

"""Debian's headless Chromium through chromedriver, spoken to with the standard library alone.

Its window cannot be narrower than about 500 pixels, so that widths are set through the DevTools protocol, which
chromedriver passes on.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

OPTIONS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def missing() -> str | None:
    """Why there is no browser to test with; None where there is one."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(lacking)} on PATH (Debian: chromium, chromium-driver)" if lacking else None


class Browser:
    """One tab."""

    def __init__(self, port: int, folder: Path) -> None:
        """Open it; ``folder`` takes the profile."""
        self.port = port
        options = {"args": [*OPTIONS, f"--user-data-dir={folder}"], "binary": shutil.which("chromium")}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.path = f"/session/{session['sessionId']}"

    def open(self, page: Path | str, *, width: int, dark: bool, height: int = 900) -> None:
        """Show a file, or an address, at a width, to somebody whose system is dark or light."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", screen)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", {"features": [feature]})
        self._ask("POST", f"{self.path}/url", {"url": page if isinstance(page, str) else page.resolve().as_uri()})

    def run(self, script: str) -> Any:
        """What a function body returns on the page."""
        return self._ask("POST", f"{self.path}/execute/sync", {"script": script, "args": []})

    def log(self) -> list[dict[str, Any]]:
        """What the console was told since it was last asked."""
        found: list[dict[str, Any]] = self._ask("POST", f"{self.path}/se/log", {"type": "browser"})
        return found

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """Give a command of the DevTools protocol."""
        return self._ask("POST", f"{self.path}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Save the page as PNG."""
        taken = self.devtools("Page.captureScreenshot", {"captureBeyondViewport": whole})
        path.write_bytes(base64.b64decode(taken["data"]))

    def close(self) -> None:
        """End the session and the browser."""
        self._ask("DELETE", self.path)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(f"chromedriver: {value['error']}: {value['message'].splitlines()[0]}")
        return value


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Start chromedriver and a browser, and end both."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        _wait(port)
        browser = Browser(port, folder / "profile")
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait(timeout=20)


def _wait(port: int, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


SHOWN = """
const found = [], root = document.documentElement;
if (root.scrollWidth > innerWidth) found.push(`page is ${root.scrollWidth} wide in a window of ${innerWidth}`);
const broken = [...document.images].filter(image => !image.complete || !image.naturalWidth).length;
if (broken) found.push(`${broken} picture(s) do not load`);
const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const rgba = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
const light = c => 0.2126 * linear(c[0] / 255) + 0.7152 * linear(c[1] / 255) + 0.0722 * linear(c[2] / 255);
const paper = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, c) => under.map((v, i) => v * (1 - c[3]) + c[i] * c[3]), [255, 255, 255]);
};
for (const element of document.querySelectorAll("p,th,td,a,li,small,summary,h1,h2,h3,code,button")) {
    if (!element.textContent.trim() || !element.getClientRects().length) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(paper(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(2)} of ${element.tagName}: ${element.textContent}`);
}
return found.slice(0, 20);
"""


def faults_shown(browser: Browser) -> list[str]:
    """What is wrong with the page as it stands: wider than the window, pictures that fail, text that is too pale."""
    found: list[str] = browser.run(SHOWN)
    return found + [f"console: {entry['message']}" for entry in browser.log()]


def faults(browser: Browser, page: Path | str, *, width: int, dark: bool) -> list[str]:
    """Open a page and list what is wrong with it, console included."""
    browser.log()
    browser.open(page, width=width, dark=dark)
    return faults_shown(browser)

"""What the page's server answers: pictures of every task, where each looks, one line for all that is wrong."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vtadapt
from tests.workflows.explore.conftest import Page, photograph
from vtadapt.tasks import make_task
from vtadapt.viz.report.charts import matrix
from vtadapt.workflows.explore import server
from vtadapt.workflows.explore.advice import affinities_of
from vtadapt.workflows.explore.guard import is_own
from vtadapt.workflows.explore.session import KEPT, SIDE
from vtadapt.workflows.explore.values import value_at
from vtadapt.workflows.run.load import load_run

ONE_LINE = {"error"}


def decoded(src: str) -> np.ndarray[Any, Any]:
    head, _, data = src.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def refused(answer: Any, status: int) -> str:
    """The one line of an answer that is no result."""
    assert answer.status == status
    assert set(answer.content) == ONE_LINE
    assert "\n" not in answer.content["error"]
    return str(answer.content["error"])


def test_the_page_needs_nothing_from_elsewhere(page: Page, tiny: Any) -> None:
    answer = page.get("/")
    text = answer.body.decode()
    assert answer.status == 200
    assert f"Explore {tiny.run.name}" in text
    assert all(name in text for name in vtadapt.load(tiny.run).tasks)
    for path in ("/style.css", "/theme.js", "/explore.js"):
        assert path in text
        text += page.get(path).body.decode()
    assert "://" not in text.replace("http://127.0.0.1", "")  # no address at all, of a CDN or of fonts
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/model.safetensors", "/../config.json", "/static/../../etc/passwd", "//etc/passwd", "/%2e%2e/config.json"]
)
def test_nothing_of_the_disk_is_served(page: Page, path: str) -> None:
    assert page.get(path).status == 404


def test_a_picture_and_its_pixels(page: Page, tiny: Any, tmp_path: Path) -> None:
    data = photograph(40, 56)
    (tmp_path / "a.png").write_bytes(data)
    wanted = vtadapt.load(tiny.run).predict(tmp_path / "a.png")
    answer = page.ask("/picture?name=a.png", data)
    assert answer.status == 200
    content, tasks = answer.content, vtadapt.load(tiny.run).tasks
    assert decoded(content["input"]).shape == (40, 56, 3)
    assert [each["name"] for each in content["tasks"]] == list(tasks)
    for each in content["tasks"]:
        picture, task = decoded(each["src"]), tasks[each["name"]]
        assert picture.shape == (40, 56, 3)
        if not each["smooth"]:  # exact colours, and the names of those that occur
            assert np.array_equal(picture, task.colour(wanted[each["name"]].astype(np.int64)))
            seen = [task.classes[i] for i in np.unique(wanted[each["name"]])]
            assert sorted(name for name, _ in each["classes"]) == sorted(seen)
    first, second = page.look(content["id"], 0.1, 0.2).content, page.look(content["id"], 0.9, 0.7).content
    assert first["pixel"] == [5, 8]
    for told, (x, y) in ((first, (5, 8)), (second, (50, 28))):
        assert told["values"] == {name: value_at(task, wanted[name], x, y) for name, task in tasks.items()}
        assert [each["name"] for each in told["maps"]] == ["frozen block", *tasks]
        assert [each["name"] for each in told["gaps"]] == list(tasks)
        assert 0 < told["high"] <= 1
    for a, b in zip(first["maps"] + first["gaps"], second["maps"] + second["gaps"], strict=True):
        assert not np.array_equal(decoded(a["src"]), decoded(b["src"]))


def test_the_words_of_a_pixel(tiny: Any) -> None:
    tasks = vtadapt.load(tiny.run).tasks
    assert value_at(tasks["semseg"], np.array([[0, 2]], np.uint8), 1, 0) == tasks["semseg"].classes[2]
    assert value_at(tasks["semseg"], np.array([[255]], np.uint8), 0, 0) == "class 255"
    assert value_at(tasks["depth"], np.array([[1.2345]], np.float32), 0, 0) == "1.23 m"
    assert value_at(tasks["normals"], np.array([[[0, -1, 0.5]]], np.float32), 0, 0) == "0.00, -1.00, 0.50"
    assert value_at(tasks["edges"], np.array([[0.257]], np.float32), 0, 0) == "26 %"


def test_a_large_picture_is_shown_smaller_and_asked_in_its_own_pixels(page: Page) -> None:
    content = page.ask("/picture", photograph(30, 2 * SIDE, kind="JPEG")).content
    assert decoded(content["input"]).shape == (15, SIDE, 3)
    told = page.look(content["id"], 1, 1).content
    assert told["pixel"] == [2 * SIDE - 1, 29]
    assert told["place"] == [1, 1]


def test_a_room(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtadapt.workflows.explore.rooms.SIZE", (24, 32))
    answer = page.ask("/room")
    assert answer.status == 200
    room = decoded(answer.content["input"])
    assert room.shape == (24, 32, 3)
    assert room.std() > 5


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it has side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"hello", "photo.jpg: broken picture (no picture of a known format)"),
        (b"<!DOCTYPE html><p>x", "it is a page of HTML"),
        (photograph(40, 56)[:300], "photo.jpg: broken picture"),
        (photograph(40, 56, kind="JPEG")[:400], "photo.jpg: broken picture"),
        (bomb(30_000), "too large"),
    ],
    ids=["text", "html", "png cut short", "jpeg cut short", "bomb"],
)
def test_what_is_no_picture_is_one_line(page: Page, data: bytes, said: str) -> None:
    assert said in refused(page.ask("/picture?name=photo.jpg", data), 422)


def test_the_name_of_a_file_opens_none(page: Page, tiny: Any) -> None:
    pack = next(tiny.data_dir.rglob("*.h5"))
    line = refused(page.ask(f"/picture?name={pack}", b"hello"), 422)
    assert line.endswith("(no picture of a known format)")  # and no word on what lies there


def test_what_a_terminal_or_a_page_would_obey_in_a_name(page: Page) -> None:
    answer = page.ask("/picture?name=%1b%5b2J%3Cscript%3E" + "x" * 3000, b"hello")
    line = refused(answer, 422)
    assert line.startswith("\\x1b[2J<script>xxx")
    assert len(line) < 300
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_names_are_escaped_on_the_page() -> None:
    from vtadapt.viz.explore.page import About, Affinity, page_files

    bad = "<script>alert(1)</script>\u202e"
    shown = Affinity(matrix(bad, [bad], [[1.0]], footer=bad), [bad])
    about = About(bad, bad, [bad], bad, [shown], [bad], 1, bad)
    text = page_files(about)["/"].content
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e" in text
    assert "<script>alert" not in text
    assert "\u202e" not in text


def test_too_many_bytes(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST", 2000)
    assert "wanted at most 0.002 MB" in refused(page.ask("/picture", b"x" * 2001), 413)
    parts = iter([b"x" * 1500, b"x" * 1500])  # sent in chunks, whose sum nobody has announced
    assert "too many bytes" in refused(page.ask("/picture", parts), 413)
    assert "broken" in refused(page.ask("/picture", b"x" * 2000), 422)
    assert "nothing was sent" in refused(page.ask("/picture", b""), 400)


@pytest.mark.parametrize(
    "body",
    ["", "[", "[]", "{}", '{"id": "a", "u": 2, "v": 0}', '{"id": 1, "u": 0, "v": 0}', "\xff", "[" * 900]
    + ['{"id": "a", "u": NaN, "v": 0}', '{"id": "a", "u": "x", "v": 0}', f'{{"id": "a", "u": {"9" * 500}, "v": 0}}'],
)
def test_questions_that_are_none(page: Page, body: str) -> None:
    refused(page.ask("/look", body.encode("latin-1")), 400)


def test_the_last_pictures_are_kept(page: Page) -> None:
    numbers = [page.ask("/picture", photograph(16, 16, seed)).content["id"] for seed in range(KEPT + 1)]
    assert len({*numbers}) == KEPT + 1
    assert "drop it once more" in refused(page.look(numbers[0], 0, 0), 422)
    assert page.look(numbers[1], 0, 0).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[", "8.8.8.8"])
def test_other_names_for_this_machine_are_refused(page: Page, host: str) -> None:
    assert "not the page's own" in refused(page.get("/", Host=host), 403)
    assert "not the page's own" in refused(page.ask("/picture", photograph(8, 8), Host=host), 403)


def test_other_pages_are_refused(page: Page) -> None:
    own, small = f"http://127.0.0.1:{page.port}", photograph(16, 16)
    assert page.ask("/picture", small, Origin=own, Sec_Fetch_Site="same-origin").status == 200
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{page.port + 1}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        assert "another page" in refused(page.ask("/picture", small, **headers), 403)
    asked = page.ask("/picture", method="OPTIONS", Origin="https://evil.example", Access_Control_Request_Method="POST")
    assert asked.status == 403
    assert not [name for name in asked.headers if name.startswith("access-control")]
    assert page.get("/", Sec_Fetch_Site="cross-site").status == 200  # a link that leads to it


@pytest.mark.parametrize(
    ("header", "host", "own"),
    [
        ("localhost:8642", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("[::1]:80", "::1", True),
        ("192.168.0.7:80", "127.0.0.1", False),
        ("192.168.0.7:80", "0.0.0.0", True),
        ("bench.lan:80", "0.0.0.0", False),
        ("Bench.lan:80", "bench.LAN", True),
        ("bench.lan.evil.example", "bench.lan", False),
        ("localhost.evil.example", "localhost", False),
        ("user@localhost", "127.0.0.1", True),
    ],
)
def test_which_hosts_are_ours(header: str, host: str, own: bool) -> None:
    assert is_own(header, host) is own


def test_a_run_without_adapters(served: Callable[[Path], Page], runs: Callable[..., Path]) -> None:
    page = served(runs(method="linear"))
    text = " ".join(page.get("/").body.decode().split())
    assert "which has no adapters to look at" in text
    assert "No affinity: a run of method linear has no adapters" in text
    content = page.ask("/picture", photograph(16, 24)).content
    assert len(content["tasks"]) == len(content["look"]["values"])
    assert set(page.look(content["id"], 0.5, 0.5).content) == {"place", "pixel", "values"}


def test_the_matrix_and_its_advice(
    served: Callable[[Path], Page], runs: Callable[..., Path], cli: Callable[..., Any]
) -> None:
    run = runs()
    told = json.loads(cli("affinity", run, "--measure", "learned", "--groups", 2, "--json").out)
    text = " ".join(served(run).get("/").body.decode().replace("&gt;", ">").split())
    assert "Learned in training" in text
    assert "groups for 2: " + " | ".join(" + ".join(group) for group in told["groups"]["groups"]) in text
    for target in told["tasks"]:
        assert f"{target} is helped" in text
    assert f"{told['matrix'][0][1]:.3f}" in text or f"{told['mean'][0][1]:.1e}" in text


def test_a_matrix_of_before_a_task_was_added(runs: Callable[..., Path], tmp_path: Path) -> None:
    loaded = load_run(runs())
    more = make_task("more", "boundary")
    grown = replace(loaded, tasks={**loaded.tasks, "more": more}, added={"more": object()})
    (shown,), missing = affinities_of(grown, tmp_path)
    assert missing == []
    assert list(shown.matrix.names) == list(loaded.tasks)
    unknown = replace(grown, added={})
    assert affinities_of(unknown, tmp_path)[0] == []
    assert "are not those of the run" in affinities_of(unknown, tmp_path)[1][0]

"""The page around a report: its head, its look in light and in dark, and the list of its sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vtadapt.viz.report.markup import Markup, join, tag

CSS = """
:root{--paper:#fff;--ink:#181c22;--muted:#5b636d;--rule:#dee2e7;--soft:#f3f5f7;--strong:#0058a3;--mark:#fff3cf;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#b5548f;--c4:#3a9fd8;--c5:#b97e00;--c6:#777;color-scheme:light}
@media(prefers-color-scheme:dark){:root:not([data-theme=light]){DARK}}
:root[data-theme=dark]{DARK}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main,header,nav{max-width:1240px;margin:0 auto;padding:0 16px}
header{display:flex;gap:16px;align-items:flex-start;justify-content:space-between;padding-top:24px}
h1{font-size:1.7rem;line-height:1.2;margin:0}
h2{font-size:1.3rem;margin:40px 0 12px;padding-top:12px;border-top:1px solid var(--rule)}
h3{font-size:1.05rem;margin:24px 0 8px}
header p{margin:6px 0 0;color:var(--muted)}
nav ul,.key{list-style:none;display:flex;flex-wrap:wrap;gap:4px 16px;padding:0;margin:16px 0 0}
a{color:var(--strong)}
button{font:inherit;font-size:.9rem;color:inherit;background:var(--soft);border:1px solid var(--rule);
border-radius:6px;padding:6px 12px;cursor:pointer;white-space:nowrap}
:focus-visible{outline:2px solid var(--strong);outline-offset:2px}
.note{color:var(--muted);font-size:.9rem;margin:6px 0}
.missing{background:var(--soft);border-left:4px solid var(--rule);padding:8px 12px;margin:12px 0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,190px),1fr));gap:12px;padding:0;
margin:16px 0;list-style:none}
.cards li{background:var(--soft);border-radius:8px;padding:12px 16px}
.cards b{display:block;font-size:1.6rem;line-height:1.3;font-variant-numeric:tabular-nums}
.cards small{color:var(--muted)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));gap:20px;align-items:start}
.two{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,560px),1fr));gap:20px;align-items:start}
.grid>*,.two>*{min-width:0}
figure{margin:0 0 16px}
figcaption{margin-bottom:4px}
.chart svg{display:block;width:100%;max-width:480px;height:auto;overflow:visible}
svg text{fill:currentColor;font-size:11.5px;opacity:.8;font-variant-numeric:tabular-nums}
svg .grid{stroke:currentColor;stroke-opacity:.13}
svg .axis{stroke:currentColor;stroke-opacity:.5;fill:none}
svg .line{stroke:currentColor;stroke-width:1.8;fill:none;stroke-linejoin:round}
svg circle{fill:currentColor}
svg .dashed .line{stroke-dasharray:5 3}
.key{margin:2px 0 6px;font-size:.85rem}
.key .chip{vertical-align:-1px;margin-right:6px}
.key i:not(.chip){display:inline-block;width:22px;border-top:3px solid;margin-right:6px;vertical-align:middle}
.key i.dashed{border-top-style:dashed}
COLOURS
.scroll{overflow-x:auto;max-width:100%;margin:8px 0}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
table.wide{width:100%}
th,td{text-align:left;padding:5px 14px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-weight:600}
thead th{color:var(--muted);font-weight:500;white-space:nowrap}
.fixed td,.fixed th{white-space:nowrap}
tbody th{font-weight:500}
.num{text-align:right}
.changed th,.changed td{background:var(--mark)}
.changed th,.changed td:first-child{padding-left:8px;font-weight:700}
.settings th{padding-left:8px}
.settings td:last-child{min-width:260px}
.panel img{width:100%;min-width:840px;height:auto}
.chip{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:8px;border:1px solid var(--rule)}
.bars{width:55%;min-width:90px;vertical-align:middle}
.bar{display:block;height:12px;background:var(--c0);border-radius:2px;min-width:1px}
.matrix th,.matrix td{padding:8px 12px;border:1px solid var(--rule)}
.matrix td{text-align:center;white-space:nowrap}
.matrix .corner{font-weight:400;white-space:nowrap}
.matrix small{display:block;opacity:.85}
.matrix .marked{outline:2px dashed var(--muted);outline-offset:-4px}
.pictures th,.pictures td{border:0;padding:0 10px 6px 0;font-size:.85rem}
.pictures td small{display:block;color:var(--muted);max-width:200px;white-space:normal}
.pictures tbody th{min-width:84px;font-weight:400;color:var(--muted)}
.pictures thead th{color:var(--ink)}
img{display:block;border-radius:4px;max-width:none;background:var(--soft)}
.exact{image-rendering:pixelated}
pre{background:var(--soft);border-radius:6px;padding:10px 12px;overflow-x:auto;margin:4px 0 14px;font-size:.88rem}
details{margin:12px 0}
summary{cursor:pointer;color:var(--strong)}
footer{color:var(--muted);font-size:.9rem;margin:40px 0 32px}
@media(max-width:600px){.pictures img{width:128px;height:auto}.pictures td small{max-width:128px}}
@media print{button,nav{display:none}}
"""
DARK = (
    "--paper:#16181c;--ink:#eceef1;--muted:#a3abb5;--rule:#363a41;--soft:#212429;--strong:#7cc0ff;--mark:#463a12;"
    "--c0:#4fa8e0;--c1:#ff8b3d;--c2:#2fc79a;--c3:#e08dc0;--c4:#8fd0f5;--c5:#eab93c;--c6:#a0a0a0;color-scheme:dark"
)
# The one thing that needs a script: choosing light or dark against the system's choice.
SCRIPT = """
const button = document.getElementById("theme"), root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
button.hidden = false;
button.onclick = () => { root.dataset.theme = dark() ? "light" : "dark"; };
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True)
class Section:
    """A part of the report: the fragment that its address ends in, its heading and what stands below it."""

    id: str
    title: str
    content: Sequence[Markup | None]


def page(title: str, about: str, sections: Sequence[Section], footer: str) -> str:
    """Return a whole HTML document that needs no other file and no network, and forbids itself to ask for any.

    Args:
        title: the headline.
        about: one line below it.
        sections: in reading order.
        footer: the last line.
    """
    colours = "".join(f".c{i}{{color:var(--c{i})}}" for i in range(7))
    css = CSS.replace("DARK", DARK).replace("COLOURS", colours).strip()
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(css)),
    )
    switch = tag("button", "Light / dark", id="theme", type="button", hidden=True)
    top = tag("header", tag("div", tag("h1", title), tag("p", about)), switch)
    links = [tag("li", tag("a", section.title, href=f"#{section.id}")) for section in sections]
    nav = tag("nav", tag("ul", *links), aria_label="Sections")
    body = [tag("section", tag("h2", s.title, id=s.id), *s.content) for s in sections]
    main = tag("main", *body, tag("footer", footer))
    whole = tag("html", head, tag("body", top, nav, main, tag("script", Markup(SCRIPT))), lang="en")
    return join([Markup("<!DOCTYPE html>\n"), whole]) + "\n"

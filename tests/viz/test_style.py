from __future__ import annotations

import pytest

from vtadapt.viz import style


@pytest.mark.parametrize(
    ("text", "drawn"), [("café", "cafe"), ("3 × 4", "3 x 4"), ("0–5", "0-5"), ("m²", "m2"), ("plain", "plain")]
)
def test_what_the_font_lacks_is_spelled(text, drawn):
    assert style.typeset(text, 14, 500, 1).lines == (drawn,)


def test_text_breaks_at_spaces_and_ends_in_an_ellipsis():
    text = style.typeset("one two three four five six seven eight nine ten", 14, 90, 2)
    assert len(text.lines) == 2
    assert text.width <= 90
    assert text.lines[0].startswith("one two")
    assert text.lines[1].endswith("…")
    assert style.typeset("Donaudampfschifffahrtsgesellschaft", 14, 60, 1).width <= 60
    assert style.typeset("", 14, 60, 2).height == 0

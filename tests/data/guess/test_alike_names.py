"""Labels that only a machine tells apart are asked about."""

from __future__ import annotations

from collections import Counter

import pytest

from vtadapt.data.guess.annotated import Found
from vtadapt.data.guess.tasks import of_annotations


@pytest.mark.parametrize(
    ("labels", "alike"),
    [
        (["Road", "road ", "car"], "'Road' and 'road ' differ by case or spaces alone"),
        (["traffic light", "TrafficLight"], "'TrafficLight' and 'traffic light' differ"),
        (["road", "roads", "car"], None),
    ],
)
def test_labels_that_look_alike_raise_a_question(labels: list[str], alike: str | None) -> None:
    guess = of_annotations(Found("labelme", "{path}.json", [], labels=Counter(labels)), {})
    assert guess is not None
    assert {*labels} <= {*guess.task["classes"]}  # which of them stays is for a person to say
    asked = [question for question in guess.questions if "differ by case" in question]
    assert asked == [] if alike is None else alike in asked[0]

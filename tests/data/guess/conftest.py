"""What is seen in the pictures of folders of people's own."""

from __future__ import annotations

import pytest

from tests.data.formats import annotations as made


@pytest.fixture
def scene() -> list[made.Thing]:
    return [
        made.rectangle("wall", 5, 4, 50, 30),
        made.rectangle("plant", 20, 10, 40, 25),
        made.rectangle("ground", 0, 32, 60, 40),
    ]

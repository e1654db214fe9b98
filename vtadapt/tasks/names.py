"""What a task may be named: its name becomes part of file names, a key in HDF5 files and in networks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

LONGEST = 64  # characters; a name is part of file names, of which most systems allow 255 bytes
PICTURE = "image"  # the key of the picture beside the labels of a sample
IN_MODULES = frozenset((
    "T_destination", "add_module", "apply", "bfloat16", "buffers", "call_super_init", "children", "clear", "compile",
    "cpu", "cuda", "double", "dump_patches", "eval", "extra_repr", "float", "forward", "get_buffer",
    "get_extra_state", "get_parameter", "get_submodule", "half", "ipu", "items", "keys", "load_state_dict", "modules",
    "mtia", "named_buffers", "named_children", "named_modules", "named_parameters", "parameters", "pop",
    "register_backward_hook", "register_buffer", "register_forward_hook", "register_forward_pre_hook",
    "register_full_backward_hook", "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter", "register_state_dict_post_hook",
    "register_state_dict_pre_hook", "requires_grad_", "set_extra_state", "set_submodule", "share_memory",
    "state_dict", "to", "to_empty", "train", "training", "type", "update", "values", "xpu", "zero_grad",
))  # fmt: skip
"""Attributes of ``torch.nn.ModuleDict``, which has a module per task: torch refuses them as keys."""


def check_name(name: str) -> None:
    """Raise ValueError, which goes on where "task 'x' ..." ends, for a name that cannot be used everywhere."""
    if not name:
        raise ValueError("needs a name that is not empty")
    if len(name) > LONGEST:
        raise ValueError(f"has a name of {len(name)} characters; at most {LONGEST} fit into names of files")
    if wrong := sorted({c for c in name if not _is_plain(c)}):
        found = ", ".join(map(repr, wrong[:4]))
        raise ValueError(f"has {found} in its name; wanted letters, digits, '_', '-' and blanks: it names files")
    if not name[0].isalnum() or name.endswith(" "):
        raise ValueError("has a name that does not begin with a letter or digit, or ends in a blank")
    if name == PICTURE:
        raise ValueError(f"is named {name!r}, as the picture itself is called; choose another name")
    if name in IN_MODULES:
        raise ValueError(f"is named {name!r}, which torch keeps for itself in networks; choose another name")


def check_names(names: Iterable[str], what: str = "tasks") -> None:
    """Raise ValueError where two names are one on disks that do not tell "a" from "A", or a letter from its parts."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if other != name:
            raise ValueError(f"{what} {other!r} and {name!r} would be one file on many disks; rename one")


def _is_plain(character: str) -> bool:
    return character in "_- " or character.isalnum() or unicodedata.category(character).startswith("M")

"""The profiles of Hypothesis that properties are run with: pytest --hypothesis-profile=NAME.

Our own checkout loads one for all its tests.  In another folder Hypothesis is left as it is: there a property has ours
through `examples` (harness/testing/check.py), and no other test has.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import InvalidArgument

# max_examples of the profiles that check a change
USUAL = 150

# Hypothesis has a profile of its own for CI, which it loads by itself: without every setting that matters here, ours
# would inherit from it there.
_STORAGE = Path(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY") or ".hypothesis")
_KEPT = DirectoryBasedExampleDatabase(_STORAGE / "examples")
_FOUND = (Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink)
PROFILES: dict[str, dict[str, Any]] = {
    "dev": {"derandomize": False, "database": _KEPT, "phases": _FOUND, "max_examples": USUAL},
    "ci": {"derandomize": True, "database": None, "phases": _FOUND, "max_examples": USUAL},
    # What was found before is tried again, apart from the hunt, which a failure that is replayed would end.
    "nightly-replay": {
        "derandomize": False,
        "database": _KEPT,
        "phases": (Phase.explicit, Phase.reuse, Phase.shrink),
        "max_examples": USUAL,
    },
    "nightly-hunt": {
        "derandomize": False,
        "database": _KEPT,
        "phases": (Phase.generate, Phase.target, Phase.shrink),
        "max_examples": 20 * USUAL,
    },
}
# What a property has where one of these is in force: Hypothesis's own, which it has where nobody chose.
_INSTEAD = {"default": "dev", "ci": "ci"}


def load() -> None:
    """Register all of them, and load the one for CI or the one for a person, for every test of this process."""
    for profile in PROFILES:
        _register(profile)
    settings.load_profile("ci" if os.environ.get("CI") else "dev")


def offer(profile: str) -> None:
    """Register one of ours that is asked for, unless this folder has one of that name."""
    try:
        settings.get_profile(profile)
    except InvalidArgument:
        if profile in PROFILES:
            _register(profile)


def _register(profile: str) -> None:
    # a parent of Hypothesis's own: else it inherits from the one that is in force
    parent = settings.get_profile("default")
    settings.register_profile(profile, parent=parent, deadline=None, **PROFILES[profile])


def name() -> str:
    """The profile that is in force."""
    return settings.get_current_profile_name()


def in_force() -> settings:
    """The settings of a property: of the profile that the folder or the command line chose, else of one of ours."""
    # pytest's --hypothesis-verbosity makes "default-with-verbose-verbosity" of "default"
    ours = _INSTEAD.get(name().partition("-with-")[0])
    return settings(deadline=None, **PROFILES[ours]) if ours else settings()

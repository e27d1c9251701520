"""The fault suite: what is promised to hold when things break, each promise with a number.

``python -m tests.faults`` runs it by hand, ``test_faults.py`` runs the short form of each scenario. A scenario is one
module here with a docstring that says what breaks, and ``async def run(options: Options) -> Report``.
"""

#: in the order in which they run; each is a module of this folder
SCENARIOS: tuple[str, ...] = (
    "restart",
    "islands",
    "catch_up",
    "memory",
    "crash",
    "damage",
    "hostile",
    "soak",
    "pressure",
    "full_disk",
)

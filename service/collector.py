"""How often Python searches for garbage: seldom, since requests leave hardly any that counting references misses."""

import gc

NEW_OBJECTS = 10_000  # before a search; by default 700, which many requests under way have again and again


def calm() -> None:
    """Leaves what is there out of all searches to come, which takes a tenth of a second, and makes them rare."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
    gc.enable()

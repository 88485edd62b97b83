"""Bounds how many characters of texts are worked on at the same time.

What is made of a text (tokens, outputs, tags) takes up to two hundred times as much memory as the text. So requests
that are not short wait until others are answered, and nothing is made of them before.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Place:
    """The place of a request that waits or is worked on; `begin` is called once it is worked on."""

    client: int
    size: int  # characters
    begin: Callable[[], object]
    begun: bool = False


class WorkLimit:
    """Begins requests as long as those in progress have at most `most` characters; one of any size where there is none.

    The client with the fewest characters in progress is next. Its requests begin in order; equal clients take turns.

    Attributes:
        in_progress: characters of the requests in progress.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.in_progress = 0
        self._of_client: Counter[int] = Counter()  # characters in progress of each client
        self._waiting: dict[int, deque[Place]] = {}  # by client; the client that was served last is last

    def enter(self, client: int, size: int, begin: Callable[[], object]) -> Place:
        """Has `begin` called, at once or later; returns the place, to be given up by `leave` in any case."""
        place = Place(client, size, begin)
        self._waiting.setdefault(client, deque()).append(place)
        self._begin()
        return place

    def leave(self, place: Place) -> None:
        """Gives up a place, of a request that is answered or waits no longer."""
        if place.begun:
            self.in_progress -= place.size
            self._of_client[place.client] -= place.size
        else:
            self._remove(place)
        self._begin()

    def _begin(self) -> None:
        while self._waiting:
            place = self._waiting[min(self._waiting, key=self._of_client.__getitem__)][0]
            if self.in_progress and self.in_progress + place.size > self._most:
                break
            self._remove(place)
            self.in_progress += place.size
            self._of_client[place.client] += place.size
            place.begun = True
            place.begin()

    def _remove(self, place: Place) -> None:
        places = self._waiting.pop(place.client)
        places.remove(place)
        if places:
            self._waiting[place.client] = places

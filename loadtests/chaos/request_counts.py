"""Counts the outcomes of the requests that are sent during a scenario."""

from collections import Counter
from dataclasses import dataclass, field

Outcome = tuple[str, int]  # path and status
# Answers on a connection whose process is killed that it may not have counted: its metrics are written each 0.1 s.
UNCOUNTED = 5


@dataclass(slots=True)
class RequestCounts:
    """Each request that is sent ends in one of `answers`, `lost`, `dropped` or `hung`."""

    sent: int = 0
    answers: Counter[Outcome] = field(default_factory=Counter)
    lost: int = 0  # the service closed the connection without an answer
    dropped: int = 0  # the client disconnected, or never sent all of it: the service may count it or not
    hung: int = 0  # no answer came before the timeout
    slowest: float = 0.0  # seconds, of the answers and those lost
    unanswerable: Counter[int] = field(
        default_factory=Counter
    )  # statuses of what is no HTTP, the path of which is unknown

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Counts an answer."""
        self.answers[path, status] += 1
        self.slowest = max(self.slowest, seconds)

    def statuses(self) -> Counter[int]:
        """Returns how many answers there were of each status."""
        found = Counter(self.unanswerable)
        for (_, status), number in self.answers.items():
            found[status] += number
        return found

    def faults(self, allowed: set[int], may_lose: int, bound_seconds: float) -> list[str]:
        """Returns what differs from what is required."""
        found = []
        accounted = self.statuses().total() + self.lost + self.dropped + self.hung
        if accounted != self.sent:
            found.append(f"{self.sent} requests were sent and {accounted} accounted for")
        if self.hung:
            found.append(f"{self.hung} requests hung")
        if self.lost > may_lose:
            found.append(f"{self.lost} requests were lost, {may_lose} could be")
        if strange := sorted(set(self.statuses()) - allowed):
            found.append(f"unexpected: {', '.join(f'{self.statuses()[status]} x {status}' for status in strange)}")
        if self.slowest > bound_seconds:
            found.append(f"an answer took {self.slowest:.1f} s, more than {bound_seconds:g} s")
        return found

    def disagreements(self, counted: Counter[Outcome]) -> list[str]:
        """Returns where `counted`, what /metrics grew by, cannot be what the clients saw.

        A lost request may have been counted before it was lost. A killed process has not counted the last answers.
        """
        found, uncounted = [], self.lost * UNCOUNTED
        for (path, status), number in sorted(self.answers.items()):
            if counted[path, status] + uncounted < number:
                found.append(f"/metrics counts {counted[path, status]} x {status} of {path}, clients saw {number}")
        for status, number in sorted(self.statuses().items()):
            everywhere = sum(n for (_, counted_as), n in counted.items() if counted_as == status)
            if self.unanswerable[status] and everywhere + uncounted < number:
                found.append(f"/metrics counts {everywhere} x {status}, clients saw {number}")
        more = counted.total() - self.statuses().total()
        if more > self.lost + self.dropped + self.hung:
            found.append(f"/metrics counts {more} answers more than clients saw: {counted - self.answers}")
        return found

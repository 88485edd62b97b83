"""A client of the service: connections that are reused, retries, deadlines, batches and streams of any length."""

from tagwerk.client.asynchronous import AsyncClient
from tagwerk.client.errors import ClientError, DeadlineExceeded, Problem, Refused, Unavailable
from tagwerk.client.results import Classified, Feedback, Generated, Model, Piece, Sentence, Tagged, Token
from tagwerk.client.synchronous import Client

__all__ = [
    "AsyncClient",
    "Classified",
    "Client",
    "ClientError",
    "DeadlineExceeded",
    "Feedback",
    "Generated",
    "Model",
    "Piece",
    "Problem",
    "Refused",
    "Sentence",
    "Tagged",
    "Token",
    "Unavailable",
]

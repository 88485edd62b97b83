"""The options of the service. Each is set by an environment variable: TAGWERK_ and its name in capitals."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import ConfigurationError, shortened

PREFIX = "TAGWERK_"
MOST_PROCESSES = 60
DIVIDED = ("slots", "max_queue_tokens")  # among the processes of a service
QUEUED_TOKENS = 64  # for which there is one queued sequence at most
LONGEST_SHOWN = 100  # characters of an invalid value in a message
# Options of other arrangements of processes -> the option to set instead.
REPLACED = dict.fromkeys(("workers", "engines", "engine_address", "engine_metrics_port"), "processes")
# Variables that are no options of the service: of training, of the compose file, of the load tests.
OTHER_VARIABLES = (
    "TAGWERK_DATA_DIR TAGWERK_RUNS_DIR TAGWERK_MODELS TAGWERK_PUBLISH TAGWERK_CHAOS_CLOCK TAGWERK_CHAOS_RUN"
).split()


def _listed(value: object) -> object:
    """Parses "1, 2, 4", which is easier to write in an environment variable than JSON."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


Sizes = Annotated[tuple[Annotated[int, Field(ge=1)], ...], NoDecode, BeforeValidator(_listed)]
Paths = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_listed)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_listed)]


class Settings(BaseSettings):
    """The options, with their units and defaults."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, protected_namespaces=())

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 selects a free one.")
    processes: int = Field(
        0, ge=0, le=MOST_PROCESSES, description="Processes that serve; 0 is one a core as memory allows, 2 with a GPU."
    )
    model_store: Path = Field(Path("model_store"), description="Folder of the models.")
    load: Names = Field(
        (),
        description="Names of the models to load, comma-separated; empty loads all that serving.json does not exclude.",
    )
    store_interval_seconds: float = Field(
        2.0, ge=0, description="Interval between polls for new model versions; 0 serves those of the start only."
    )
    serving_file: str = Field("", description="Path of the serving config; empty is serving.json in the model store.")
    model_signers: Paths = Field(
        (), description="Files with Ed25519 public keys (PEM) of trusted signers, comma-separated; empty accepts all."
    )
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="Where models run; auto prefers a GPU.")
    xla_cache: str = Field("", description="Folder for compiled executables, for quicker starts; empty keeps none.")
    batch_sizes: Sizes = Field((1, 2, 4, 8, 16), min_length=1, description="Compiled batch sizes, comma-separated.")
    slots: int = Field(16, ge=1, description="Texts generated at the same time, by all processes; further ones wait.")
    max_queue_tokens: int = Field(
        262_144, ge=1, description="Queued tokens of all processes, and 64 times the sequences; above it, 429."
    )
    request_timeout_seconds: float = Field(
        30.0, gt=0, description="Time for a request, after which it gets 504; X-Request-Timeout-Ms sets less."
    )
    receive_timeout_seconds: float = Field(
        30.0, gt=0, description="Time for a request, or a line of a stream, to arrive, or its connection is closed."
    )
    keep_alive_seconds: int = Field(
        75, ge=1, description="Idle time after which a connection is closed; must exceed that of a proxy in front."
    )
    max_body_bytes: int = Field(4_194_304, ge=1, description="Largest request body.")
    max_items: int = Field(1024, ge=1, description="Most texts or sentences in a request.")
    max_text_characters: int = Field(200_000, ge=1, description="Longest text, all items of a request together.")
    max_generated_tokens: int = Field(4096, ge=1, description="Largest max_tokens of a request.")
    api_keys_file: str = Field("", description="Key file, written by tagwerk keys; empty requires no keys.")
    feedback_dir: str = Field(
        "", description="Folder of the corrections that POST /feedback appends; empty accepts none."
    )
    overrides_dir: str = Field(
        "", description="Folder of the models' dictionaries, MODEL.tsv, read again when they change; empty has none."
    )
    cors_origins: Origins = Field(
        (), description="Origins whose pages may call the service, comma-separated, or *; empty allows none."
    )
    drain_delay_seconds: float = Field(
        0.5, ge=0, description="Time after SIGTERM in which requests are accepted while /readyz returns 503."
    )
    drain_timeout_seconds: float = Field(30.0, ge=0, description="Time after that for requests in flight to finish.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    log_format: Literal["console", "json"] = Field("console", description="Plain text, or JSON.")

    @model_validator(mode="after")
    def _sizes_rise(self) -> Self:
        if list(self.batch_sizes) != sorted(set(self.batch_sizes)):
            given = ",".join(map(str, self.batch_sizes))
            raise ValueError(f"{variable('batch_sizes')} is {given!r}; allowed: sizes that rise, each of them once")
        return self

    @property
    def max_queue_sequences(self) -> int:
        """The most queued sequences: one for 64 of the tokens, and room for the largest request."""
        return max(self.max_items, self.max_queue_tokens // QUEUED_TOKENS)

    def of_process(self, processes: int) -> "Settings":
        """Returns the settings of one of several processes, which divide what holds for the whole service."""
        return self.model_copy(update={name: -(-getattr(self, name) // processes) for name in DIVIDED})


def variable(name: str) -> str:
    """Returns the environment variable of an option."""
    return PREFIX + name.upper()


def load_settings() -> Settings:
    """Reads the environment.

    Raises ConfigurationError with a line for each invalid option: its value, and what is allowed.
    """
    try:
        return Settings()
    except ValidationError as error:
        given = {name.upper(): value for name, value in os.environ.items()}
        lines = []
        for fault in error.errors(include_url=False):
            problem = fault["msg"].removeprefix("Value error, ")
            if fault["loc"]:
                name = variable(str(fault["loc"][0]))
                value = shortened(given.get(name, str(fault["input"])), LONGEST_SHOWN)
                problem = f"{name} is {value!r}: {problem}"
            lines.append(problem)
        raise ConfigurationError("\n".join(dict.fromkeys(lines))) from None


def unknown_variables(names: Iterable[str]) -> dict[str, str | None]:
    """Finds environment variables that look like options and are none.

    Returns for each the option to set instead, if it was one, or the nearest one, if any.
    """
    known = {*map(variable, Settings.model_fields), *OTHER_VARIABLES}
    replaced = {variable(before): variable(now) for before, now in REPLACED.items()}

    def instead(name: str) -> str | None:
        return replaced.get(name) or next(iter(difflib.get_close_matches(name, known, 1, 0.8)), None)

    unknown = sorted(name for name in names if name.upper().startswith(PREFIX) and name.upper() not in known)
    return {name: instead(name.upper()) for name in unknown}

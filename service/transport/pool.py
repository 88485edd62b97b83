"""Several engines as one: each request goes to the one that has least to do."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence

from service.engine.protocol import Engine, Generation, Inference, OnChange, Outcome
from service.errors import EngineUnavailable
from service.types import ModelKey, ModelState, Sampled, State

# What the pool says of a state that its engines do not share: the best of them.
ORDER = (
    State.READY,
    State.SUPERSEDED,
    State.STARTING,
    State.AWAY,
    State.DRAINING,
    State.REFUSED,
    State.STOPPED,
)


class EnginePool:
    """Engine in front of several. As long as one of them is ready, so is the pool.

    A request whose engine is not available goes to another, each once, since it has changed nothing. A text that has
    begun is lost with its engine.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = engines
        self._tokens = dict.fromkeys(engines, 0)  # under way
        self._texts = dict.fromkeys(engines, 0)

    def state(self) -> State:
        """Says whether an engine takes requests."""
        return min((engine.state() for engine in self._engines), key=ORDER.index)

    def models(self) -> Sequence[ModelState]:
        """Lists the model versions, each in the best state that it has in any engine."""
        best: dict[ModelKey, ModelState] = {}
        for state in (state for engine in self._engines for state in engine.models()):
            known = best.setdefault(state.key, state)
            best[state.key] = min(known, state, key=lambda one: ORDER.index(one.state))
        return list(best.values())

    async def start(self, on_change: OnChange) -> None:
        """Starts all engines; see `Engine.start`."""
        await asyncio.gather(*(engine.start(on_change) for engine in self._engines))

    async def infer(self, request: Inference) -> Outcome:
        """Runs all sequences of a request on one engine; see `Engine.infer`."""
        tokens = request.sequences.tokens
        for engine in self._candidates(self._tokens, request.model):
            self._tokens[engine] += tokens
            try:
                return await engine.infer(request)
            except EngineUnavailable:
                pass
            finally:
                self._tokens[engine] -= tokens
        raise self._unavailable()

    async def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the tokens that one engine generates; see `Engine.generate`."""
        begun = False
        for engine in self._candidates(self._texts, request.model):
            text = engine.generate(request)
            self._texts[engine] += 1
            try:
                async for sampled in text:
                    begun = True
                    yield sampled
                return
            except EngineUnavailable:
                if begun:
                    raise
            finally:
                self._texts[engine] -= 1
                await text.aclose()
        raise self._unavailable()

    def cut_texts(self) -> None:
        """Lets the texts that are being generated end where they are; see `Engine.cut_texts`."""
        for engine in self._engines:
            engine.cut_texts()

    async def close(self) -> None:
        """Closes all engines; see `Engine.close`."""
        await asyncio.gather(*(engine.close() for engine in self._engines))

    def _candidates(self, load: dict[Engine, int], model: ModelKey) -> Iterator[Engine]:
        """Yields the engines to try, each once: of those that are ready then, the one with the least load."""
        untried = list(self._engines)
        while ready := [engine for engine in untried if engine.state() is State.READY]:
            having = [e for e in ready if any(m.key == model and m.state is State.READY for m in e.models())]
            engine = min(having or ready, key=load.__getitem__)
            untried.remove(engine)
            yield engine

    def _unavailable(self) -> EngineUnavailable:
        return EngineUnavailable(f"none of {len(self._engines)} engines could take the request: {self.state()}")

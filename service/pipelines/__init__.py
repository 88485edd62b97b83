"""From texts to typed results: tags, labels, generated texts. For programs, `open_pipelines` is the entry point."""

from service.pipelines.in_process import AsyncPipelines, Pipelines, open_async_pipelines, open_pipelines

__all__ = ["AsyncPipelines", "Pipelines", "open_async_pipelines", "open_pipelines"]

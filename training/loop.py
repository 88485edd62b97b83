"""A training run, from recipe to best checkpoint. `train` reads top to bottom."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from service.errors import TagwerkError
from training.checkpoint import Checkpoints
from training.config import Recipe, runs_folder
from training.dataset import Array
from training.progress import Reporter
from training.tasks.base import Predict, State, Task, Tensors


class Diverged(TagwerkError):  # noqa: N818 (says what happened)
    """The loss is no number any more."""


def train(task: Task, console: Console) -> None:
    """Trains a task's recipe, or goes on with it where an earlier run was interrupted.

    What it leaves is the run's checkpoints, the weights of the epoch that was best on dev among them.
    """
    recipe = task.recipe
    keras.utils.set_random_seed(recipe.seed)
    model = task.network()
    optimizer = keras.optimizers.Adam(recipe.learning_rate)
    optimizer.build(model.trainable_variables)
    averages = [tf.Variable(weight.value) for weight in model.trainable_variables] if recipe.averaging else []
    step = make_step(task, model, optimizer, averages)
    predict = make_predict(task, model)

    checkpoints = Checkpoints(runs_folder(), recipe)
    everything = [*model.variables, *optimizer.variables, *averages]
    progress = checkpoints.restore(everything)
    with Reporter(console, recipe.epochs, progress.epochs) as report:
        report.say(f"{recipe.name}: {model.count_params():,} weights, checkpoints in {checkpoints.folder}")
        if progress.epochs:
            report.say(f"resuming after epoch {progress.epochs}")
        for epoch in range(progress.epochs, recipe.epochs):
            batches = task.train_batches(np.random.default_rng([recipe.seed, epoch]))
            report.epoch(epoch + 1, len(batches))
            started = time.monotonic()
            loss_sum, tokens = 0.0, 0
            state = task.initial_state()
            for i, batch in enumerate(batches):
                optimizer.learning_rate = learning_rate(recipe, (epoch + i / len(batches)) / recipe.epochs)
                loss, state = step(batch.inputs, batch.targets, state)
                loss_sum += float(loss) * batch.tokens
                tokens += batch.tokens
                if not math.isfinite(loss_sum):
                    raise Diverged(
                        f"the loss is {float(loss)} in step {i + 1} of epoch {epoch + 1}: lower learning_rate"
                    )
                report.step(i + 1, loss_sum / tokens, tokens)
            seconds = time.monotonic() - started

            with averaged(model, averages):
                metrics = task.evaluate(predict, "dev")
                value = next(metric.value for metric in metrics if metric.name == task.chosen_by)
                best = task.better(value, progress.best)
                if best:
                    progress.best, progress.best_epoch = value, epoch + 1
                    checkpoints.save_best(model.variables, progress)
            progress.epochs = epoch + 1
            progress.seconds += time.monotonic() - started
            progress.history.append({"loss": loss_sum / tokens} | {m.name: m.value for m in metrics})
            checkpoints.save(everything, progress)
            report.epoch_done(loss_sum / tokens, tokens, seconds, metrics, best)


def best_of_run(task: Task) -> keras.Model:
    """Returns the network with the weights of the epoch that was best on dev."""
    model = task.network()
    Checkpoints(runs_folder(), task.recipe).restore_best(model.variables)
    return model


def set_threads(threads: int) -> None:
    """Sets the threads of TensorFlow's arithmetic; only before it has run anything."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def make_step(
    task: Task, model: keras.Model, optimizer: keras.optimizers.Optimizer, averages: Sequence[tf.Variable]
) -> Callable[[Mapping[str, Array], Mapping[str, Array], State], tuple[Any, State]]:
    """Returns the update on one batch: it gives the loss and the state for the next batch.

    It runs as a TensorFlow graph over any [B, T]: measured on the CPU, XLA takes as long per step, and compiles
    each shape.
    """
    weights = model.trainable_variables
    recipe = task.recipe

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(inputs: Tensors, targets: Tensors, state: State) -> tuple[Any, State]:
        with tf.GradientTape() as tape:
            loss, state = task.loss(model, inputs, targets, state)
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        gradients, _ = tf.clip_by_global_norm(gradients, recipe.clip_norm)
        optimizer.apply(gradients, weights)
        seen = tf.cast(optimizer.iterations, tf.float32)
        decay = tf.minimum(recipe.averaging, (1 + seen) / (10 + seen))  # the first steps count for little
        for average, weight in zip(averages, weights, strict=False):
            average.assign_add((1 - decay) * (weight.value - average))
        return loss, state

    return step  # type: ignore[no-any-return]


def make_predict(task: Task, model: keras.Model) -> Predict:
    """Returns the task's endpoint on a network, NumPy in and out."""
    graph = tf.function(lambda inputs: task.predict(model, inputs), reduce_retracing=True)
    return lambda inputs: {name: output.numpy() for name, output in graph(dict(inputs)).items()}


def learning_rate(recipe: Recipe, done: float) -> float:
    """Returns the learning rate when the share `done` of a run is over: a linear rise, then a cosine to 0."""
    if done < recipe.warmup:
        return recipe.learning_rate * done / recipe.warmup
    falling = (done - recipe.warmup) / (1 - recipe.warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * falling))


@contextmanager
def averaged(model: keras.Model, averages: Sequence[tf.Variable]) -> Iterator[None]:
    """Puts the averages in the place of the weights for a while, if there are any."""
    weights = model.trainable_variables
    kept = [weight.numpy() for weight in weights] if averages else []
    for weight, average in zip(weights, averages, strict=False):
        weight.assign(average)
    try:
        yield
    finally:
        for weight, value in zip(weights, kept, strict=False):
            weight.assign(value)

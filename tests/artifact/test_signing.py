"""Signed versions: whose models the service runs."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.__main__ import main
from service.errors import ArtifactError, ConfigurationError
from service.store.registry import load_version
from tests.artifact.test_manifest import write_version


def make_keys(folder: Path, name: str, key: EllipticCurvePrivateKey | None = None) -> tuple[Path, Path]:
    """Writes a pair of keys; returns the private and the public one."""
    private = key or Ed25519PrivateKey.generate()
    paths = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    encoding = serialization.Encoding.PEM
    paths[0].write_bytes(
        private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    paths[1].write_bytes(private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo))
    return paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_version(tmp_path / "store")


def test_what_a_signer_signed_is_read_and_nothing_else(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TAGWERK_MODEL_STORE", str(tmp_path / "store"))
    ours, public = make_keys(tmp_path, "ours")
    theirs, other = make_keys(tmp_path, "theirs")
    with pytest.raises(ArtifactError, match=r"manifest\.sig is missing"):
        load_version(folder, [public])
    assert main(["models", "sign", "tagger-en/1", str(theirs)]) == 0
    with pytest.raises(ArtifactError, match="is not by a signer"):
        load_version(folder, [public])
    load_version(folder, [public, other])
    assert main(["models", "sign", "tagger-en/1", str(ours)]) == 0
    load_version(folder, [public])
    load_version(folder)

    monkeypatch.setenv("TAGWERK_MODEL_SIGNERS", str(public))
    assert main(["models"]) == 0
    monkeypatch.setenv("TAGWERK_MODEL_SIGNERS", str(other))
    assert main(["models"]) == 1
    assert "refused" in capsys.readouterr().out


def test_an_altered_manifest_or_file_breaks_the_signature(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TAGWERK_MODEL_STORE", str(tmp_path / "store"))
    private, public = make_keys(tmp_path, "ours")
    main(["models", "sign", "tagger-en/1", str(private)])
    manifest = folder / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole.replace("for tests", "for thieves"))
    with pytest.raises(ArtifactError, match="not by a signer in TAGWERK_MODEL_SIGNERS"):
        load_version(folder, [public])
    manifest.write_text(whole)
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"evil")
    with pytest.raises(ArtifactError, match="altered"):
        load_version(folder, [public])
    assert main(["models", "sign", "tagger-en/1", str(private)]) == 1, "what is broken is not signed"


def test_keys_that_are_none_are_named(folder, tmp_path):
    (tmp_path / "none.pem").write_text("no key")
    _, curve = make_keys(tmp_path, "curve", generate_private_key(SECP256R1()))
    for path, reason in ((tmp_path / "none.pem", "cannot be read"), (tmp_path / "missing", "cannot be read")):
        with pytest.raises(ConfigurationError, match=reason):
            load_version(folder, [path])
    with pytest.raises(ConfigurationError, match="is not Ed25519"):
        load_version(folder, [curve])

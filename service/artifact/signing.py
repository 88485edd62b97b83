"""Signs model versions: an Ed25519 signature of the manifest, which has the checksums of all other files.

A SavedModel is a program: TensorFlow executes its operations, and some of them read and write files. If versions come
from other parties, the service can be restricted to trusted signers; it checks the signature before TensorFlow reads
anything.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from service.artifact.manifest import MANIFEST, SIGNATURE
from service.errors import ArtifactError, ConfigurationError, install

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def check_signature(signature: bytes, manifest: bytes, keys: Sequence["Ed25519PublicKey"]) -> None:
    """Checks that a manifest was signed with one of the keys. Raises ArtifactError."""
    from cryptography.exceptions import InvalidSignature

    for key in keys:
        try:
            key.verify(signature, manifest)
            return
        except InvalidSignature:
            continue
    raise ArtifactError(f"{SIGNATURE} is not by a signer in TAGWERK_MODEL_SIGNERS")


def sign(folder: Path, private_key: Path) -> None:
    """Signs a version with a private key. Raises ConfigurationError."""
    key = _read_key(private_key, private=True)
    (folder / SIGNATURE).write_bytes(key.sign((folder / MANIFEST).read_bytes()))


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """Reads a signer's public key. Raises ConfigurationError."""
    try:
        return cast("Ed25519PublicKey", _read_key(path, private=False))
    except ConfigurationError as error:
        raise ConfigurationError(f"TAGWERK_MODEL_SIGNERS: {error}") from None


def _read_key(path: Path, private: bool) -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise ConfigurationError(f"signatures need the extra `sign`: {install('sign')}") from None
    wanted: type = ed25519.Ed25519PrivateKey if private else ed25519.Ed25519PublicKey
    try:
        content = path.read_bytes()
        if private:
            key: object = serialization.load_pem_private_key(content, password=None)
        else:
            key = serialization.load_pem_public_key(content)
    except (OSError, ValueError, TypeError) as error:
        kind = "private key without a password" if private else "public key"
        raise ConfigurationError(f"{path} cannot be read as a {kind}: {error}") from None
    if not isinstance(key, wanted):
        raise ConfigurationError(f"the key in {path} is not Ed25519")
    return key

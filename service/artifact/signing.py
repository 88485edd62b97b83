"""Signs model versions: an Ed25519 signature of the manifest, which has the checksums of all other files.

A SavedModel is a program: TensorFlow executes its operations, some of which read and write files. If versions come from
other parties, the service can be restricted to trusted signers; it checks the signature before TensorFlow reads
anything.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.artifact.manifest import MANIFEST, SIGNATURE
from service.errors import ArtifactError, ConfigurationError, install

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NO_CRYPTOGRAPHY = f"signatures need the extra `sign`: {install('sign')}"


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
    key = _private_key(private_key)
    (folder / SIGNATURE).write_bytes(key.sign((folder / MANIFEST).read_bytes()))


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """Reads a signer's public key. Raises ConfigurationError."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise ConfigurationError(f"TAGWERK_MODEL_SIGNERS: {NO_CRYPTOGRAPHY}") from None
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"TAGWERK_MODEL_SIGNERS: {path} cannot be read as a public key: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(f"TAGWERK_MODEL_SIGNERS: the key in {path} is not Ed25519")
    return key


def _private_key(path: Path) -> "Ed25519PrivateKey":
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise ConfigurationError(NO_CRYPTOGRAPHY) from None
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} cannot be read as a private key without a password: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"the key in {path} is not Ed25519")
    return key

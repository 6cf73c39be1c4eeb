"""The file KMS: one file of keys per organization, replaced atomically and durably (docs/vault-format.md §8).

For deployments without a KMS. Who backs up this folder decides what a lost machine costs, so it is backed up,
and apart from the database and from the vaults.
"""

import asyncio
import base64
import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backup_engine.ports.vault import KeyRefused, KeyUnknown, StoreRefused

_OWNER = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
_REFERENCE = re.compile(rf"file:(?P<owner>{_OWNER.pattern}):(?P<number>[1-9][0-9]{{0,8}})")
_NONCE_BYTES = 12


class FileKms:
    """Keys in ``<folder>/<owner>.json``; references are ``file:<owner>:<n>``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def create_key(self, owner: str) -> str:
        """Add a key to the owner's file; durable on return."""
        return await asyncio.to_thread(self._create, owner)

    async def wrap(self, key_ref: str, secret: bytes, context: bytes) -> bytes:
        """As the port says."""
        key = await asyncio.to_thread(self._key, key_ref)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(key).encrypt(nonce, secret, _associated(key_ref, context))

    async def unwrap(self, key_ref: str, wrapped: bytes, context: bytes) -> bytes:
        """As the port says."""
        key = await asyncio.to_thread(self._key, key_ref)
        try:
            return AESGCM(key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _associated(key_ref, context))
        except (InvalidTag, ValueError) as error:
            raise KeyRefused(key_ref=key_ref) from error

    async def destroy_key(self, key_ref: str) -> None:
        """Remove one key from its file. The bytes may survive on the medium below the file system."""
        await asyncio.to_thread(self._destroy, key_ref)

    async def destroy_owner(self, owner: str) -> None:
        """Remove the owner's file. The bytes may survive on the medium below the file system."""
        await asyncio.to_thread(self._destroy_all, owner)

    def _path(self, owner: str) -> Path:
        if not _OWNER.fullmatch(owner):
            raise ValueError(f"{owner!r} cannot name a key file")
        return self._folder / f"{owner}.json"

    def _create(self, owner: str) -> str:
        with self._locked():
            keys = self._load(owner)
            # Numbers are not reused: a reference to a destroyed key must never meet a new one.
            number = max(int(keys.pop("last", "0")), *(int(known) for known in keys), 0) + 1
            self._save(owner, {**keys, str(number): _text(AESGCM.generate_key(256))}, last=number)
        return f"file:{owner}:{number}"

    def _key(self, key_ref: str) -> bytes:
        owner, number = _parsed(key_ref)
        found = self._load(owner).get(number)
        if found is None:
            raise KeyUnknown(key_ref=key_ref)
        return base64.b64decode(found)

    def _destroy(self, key_ref: str) -> None:
        owner, number = _parsed(key_ref)
        with self._locked():
            keys = self._load(owner)
            if number in keys:
                last = int(keys.pop("last"))
                del keys[number]
                self._save(owner, keys, last=last)

    def _destroy_all(self, owner: str) -> None:
        path = self._path(owner)
        if not self._folder.is_dir():
            return
        with self._locked():
            path.unlink(missing_ok=True)
            _synchronise(self._folder)

    def _load(self, owner: str) -> dict[str, str]:
        """Return the owner's keys by number, and under «last» the highest number ever given."""
        try:
            found = json.loads(self._path(owner).read_text(encoding="ascii"))
        except FileNotFoundError:
            return {}
        if found.get("format") != 1 or found.get("owner") != owner:
            raise StoreRefused(reason=f"{self._path(owner).name} is no key file of this version")
        return {**found["keys"], "last": str(found["last"])}

    def _save(self, owner: str, keys: dict[str, str], *, last: int) -> None:
        content = {"format": 1, "owner": owner, "last": last, "keys": keys}
        path = self._path(owner)
        temporary = path.with_suffix(f".{secrets.token_hex(6)}.tmp")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _synchronise(self._folder)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from changing a file between our reading and replacing it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _parsed(key_ref: str) -> tuple[str, str]:
    found = _REFERENCE.fullmatch(key_ref)
    if found is None:
        raise KeyUnknown(key_ref=key_ref)
    return found["owner"], found["number"]


def _associated(key_ref: str, context: bytes) -> bytes:
    return key_ref.encode() + b"\0" + context


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _synchronise(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

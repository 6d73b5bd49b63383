"""Putting a bundle into a folder of models: whole or not at all. The making of one is `training.release.publish`'s.

It is written into a hidden folder beside its destination and renamed. An existing version is never touched.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.store.bundle import Bundle
from inference.store.located import MANIFEST_FILE
from inference.store.signatures import SIGNATURE_FILE


@contextmanager
def staged_folder(models: Path, name: str, version: int) -> Iterator[Path]:
    """A hidden folder to make a bundle in: at the block's end it becomes `models/name/version` in one step.

    `FileExistsError` where that version is there, `OSError` where the disk refuses; a block that raises leaves nothing
    behind.
    """
    target = models / name / str(version)
    if os.path.lexists(target):
        raise FileExistsError(
            f"{target} exists; a published version is never overwritten, choose another --version"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    # The name of a bundle's folder is checked when it is opened, so the hidden one has the same shape.
    staging = models / f".publishing-{os.getpid()}"
    staged = staging / name / str(version)
    try:
        yield staged
        staged.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def copy_bundle(bundle: Bundle, target: Path) -> None:
    """The files that the manifest lists, a signature, and the manifest last. `OSError` where that fails."""
    for name in bundle.manifest.files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / name, target / name)
    for name in (SIGNATURE_FILE, MANIFEST_FILE):
        if (bundle.path / name).is_file():
            shutil.copyfile(bundle.path / name, target / name)

"""`baton serve`: read the settings, and serve in as many processes as they say."""

import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from serving.lifecycle import end_at_once

if TYPE_CHECKING:
    from pydantic import ValidationError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; the process's exit status."""
    if argv is None:
        end_at_once()
    # Pydantic takes a third of a second to import, in which a signal may come.
    from pydantic import ValidationError

    from serving.settings import read_settings

    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["serve"]:
        del arguments[0]
    try:
        settings = read_settings(arguments)
    except ValidationError as error:
        print(_faults(error), file=sys.stderr)
        return 2
    if settings.workers > 1:
        from serving.workers.supervisor import supervise

        return supervise(settings, arguments)
    # Objects made at the start stay; `serving.engine.group` enables the collector when all models are loaded.
    gc.disable()
    # It imports ONNX Runtime, which the supervisor of several workers does not need.
    from serving.server import serve

    return serve(settings)


def _faults(error: "ValidationError") -> str:
    lines = [
        f"  --{'.'.join(map(str, fault['loc'])).replace('_', '-')}: got {fault['input']!r}: {fault['msg']}"
        for fault in error.errors()
    ]
    return "\n".join(("baton serve: settings at fault", *lines))


if __name__ == "__main__":
    sys.exit(main())

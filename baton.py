"""The `baton` command: one verb a package, imported only when it is asked for.

`baton train` needs the training extra, `baton serve` the serving extra, and the rest only `inference`;
so nothing is imported here that the verb does not use.
"""

import importlib
import sys

VERBS = {
    "train": ("training.__main__", "train a model, verify its export and publish it as a bundle"),
    "reference": (
        "training.release.reference",
        "add to a bundle the reference that drift is measured against",
    ),
    "serve": ("serving.__main__", "serve a folder of models over HTTP"),
    "key": ("serving.access.__main__", "make an API key for the file of `baton serve --api-keys`"),
    "bench": ("serving.bench.__main__", "measure a server of the Open Inference Protocol under load"),
    "inspect": ("inference.__main__", "print the manifest of a bundle"),
    "check": ("inference.__main__", "open every bundle of a folder and replay its golden examples"),
    "predict": ("inference.__main__", "predict from files with one bundle, without a server"),
    "sign": ("inference.__main__", "sign a bundle with a key of minisign"),
    "publish": ("inference.__main__", "put bundles into another folder of models, and sign them"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the process's exit status."""
    args = sys.argv[1:] if argv is None else argv
    if args and args[0] not in (*VERBS, "-h", "--help"):
        print(f"error: VERB: got {args[0]!r}, expected one of {', '.join(VERBS)}", file=sys.stderr)
        return 2
    if not args or args[0] not in VERBS:
        verbs = "\n".join(f"  {verb:9} {text}" for verb, (_, text) in VERBS.items())
        print(f"usage: baton VERB ...\n\n{verbs}\n\n`baton VERB --help` lists the options of a verb.")
        return 0 if args[:1] in (["-h"], ["--help"]) else 2
    module, _ = VERBS[args[0]]
    if argv is None and args[0] == "serve":
        from serving.lifecycle import end_at_once

        end_at_once()  # the settings alone take a third of a second to import
    status: int = importlib.import_module(module).main(args)
    return status


if __name__ == "__main__":
    sys.exit(main())

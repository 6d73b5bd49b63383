"""The memory of each peer, its start in seconds and processor seconds, and the size of its environment."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.result import shown, write
from benchmarks.turns import Peer, Scripts, environment, start_each
from serving.bench.figures import interval


def weigh_starts(scripts: Scripts, specs: Sequence[str], model: str) -> dict[str, tuple[float, float]]:
    """Seconds and processor seconds to the first answer, by label; each started alone."""
    found: dict[str, tuple[float, float]] = {}
    for spec in specs:
        for peer in start_each(scripts, [spec], model):
            found[peer.label] = peer.start_s, peer.start_cpu_s
            peer.close()
    return found


def image_note(base: str, ours: str) -> str:
    """The sizes of an image and of its base; podman or docker has both."""
    program = shutil.which("podman") or shutil.which("docker")
    if program is None:
        raise SystemExit("--images: expected podman or docker on the path")
    sizes = [
        int(subprocess.check_output([program, "image", "inspect", "-f", "{{.Size}}", name])) / (1 << 20)
        for name in (base, ours)
    ]
    return (
        f"Baton's image takes {sizes[1]:.0f} MiB, of which {sizes[0]:.0f} are its base {base.split('/')[-1]}."
    )


def write_footprint(
    out: Path,
    scripts: Scripts,
    peers: Sequence[Peer],
    starts: Sequence[Mapping[str, tuple[float, float]]],
    notes: Sequence[str],
) -> int:
    rows: list[tuple[float, tuple[str, ...]]] = []
    for peer in peers:
        version, size = environment(scripts, peer.label.split(":")[0])
        wall, cpu = (
            interval([start[peer.label][place] for start in starts if peer.label in start])
            for place in (0, 1)
        )
        cells = (peer.label, version, f"{peer.rss_mib:.0f}", shown(wall, "{:.1f}"), shown(cpu), f"{size:.0f}")
        rows.append((peer.rss_mib, cells))
    columns = (
        "server, with tiny loaded",
        "version",
        "RSS MiB after the load",
        "seconds to the first answer",
        "processor seconds by then",
        "environment MiB",
    )
    return write(out, columns, [cells for _, cells in sorted(rows)], [], notes)

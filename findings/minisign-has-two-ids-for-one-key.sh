#!/usr/bin/env bash
# One minisign key has two ids: the two tools that write them reverse the bytes, and one drops leading zeros.
#
# With: minisign 0.11-1 and libsodium23 1.0.18-1+deb12u1 of Debian 12 (x86-64), py-minisign 0.21.1, Python 3.11.
# Expected: the id in the comment of a public key is one word of 16 hexadecimal digits, whoever writes it, so that a
#   list of trusted ids or a log can be searched for it. The eight bytes of the id stand in the key itself.
# Seen: minisign writes them as a little-endian number without leading zeros, py-minisign in their order as bytes. No
#   key of 64 had one id in both, and one of sixteen or so has fewer than 16 digits from minisign.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -q minisign=0.11-1 libsodium23=1.0.18-1+deb12u1 >/dev/null
for package in ./*.deb; do dpkg-deb -x "$package" root; done
python3 -m venv venv
venv/bin/pip install --no-compile --disable-pip-version-check -q py-minisign==0.21.1

LD_LIBRARY_PATH=$(dirname "$(find root -name 'libsodium.so.23' | head -1)") venv/bin/python - <<'PYTHON'
import base64
import subprocess
from pathlib import Path

import minisign

same = short = reverse = 0
for _ in range(64):
    subprocess.run(
        ["root/usr/bin/minisign", "-G", "-W", "-f", "-p", "key.pub", "-s", "key.key"], check=True, capture_output=True
    )
    comment, line = Path("key.pub").read_text().split("\n")[:2]
    raw = base64.b64decode(line)[2:10]  # behind the two letters of the algorithm
    by_minisign = comment.rpartition(" ")[2]
    key = minisign.PublicKey.from_base64(line.encode())
    by_python = bytes(key).decode().split("\n")[0].rpartition(" ")[2]
    same += by_minisign == by_python
    short += len(by_minisign) < 16
    reverse += by_minisign == f"{int.from_bytes(raw, 'little'):X}" and by_python == raw.hex().upper()
print(f"of 64 keys {same} have one id in both tools; {reverse} have it as said; {short} are short in minisign")
print("the last:", by_minisign, "by minisign,", by_python, "by py-minisign")
assert reverse == 64, "the ids are written otherwise now"
assert same == 0, "both tools write one id now"
PYTHON

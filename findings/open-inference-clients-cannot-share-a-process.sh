#!/usr/bin/env bash
# No two of MLServer, the KServe SDK and Triton's gRPC client can be imported into one Python process.
#
# With: mlserver 1.7.1, kserve 0.16.0, tritonclient 2.66.0, Python 3.11. (kserve 0.21.0 with
#   tritonclient 2.73.0, protobuf 6.33.6: the same.)
# Expected: three packages that speak one open protocol can be used side by side, in a gateway, a
#   benchmark or a test.
# Seen: each brings its own copy of the protocol's messages under the same package name, `inference`;
#   the second import of any pair, in either order, dies with "duplicate symbol
#   'inference.ServerLiveRequest'". mlserver's codecs alone are enough. Use one a process, or tritonclient.http.
# Source: https://github.com/kserve/open-inference-protocol (the .proto and its package name)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    mlserver==1.7.1 kserve==0.16.0 'tritonclient[grpc,http]==2.66.0'

"$work/venv/bin/python" - <<'PYTHON'
import subprocess
import sys

CODECS, KSERVE, TRITON = "from mlserver.codecs import NumpyCodec", "import kserve", "import tritonclient.grpc"


def imports(*lines):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", "; ".join(lines)], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


for line in (CODECS, KSERVE, TRITON):
    print(f"{line}: {imports(line) or 'fine'}")
    assert not imports(line)
for first, second in ((CODECS, KSERVE), (KSERVE, CODECS), (CODECS, TRITON), (TRITON, KSERVE), (KSERVE, TRITON)):
    error = imports(first, second)
    print(f"{first}; {second}: {error}")
    assert "duplicate symbol 'inference." in error, "the two live together now"
assert not imports(CODECS, "import tritonclient.http")
PYTHON

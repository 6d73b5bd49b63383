#!/usr/bin/env bash
# A float16 column of a Parquet file is bytes in fastparquet, and cannot be filtered in pyarrow.
#
# With: pyarrow 26.0.1 (writer), fastparquet 2026.9.0, polars 2.1.0, duckdb 2.0.1, Python 3.11.
# Expected: Float16 is a logical type of the format; a reader that does not know it says so.
# Seen: polars and DuckDB read 1.5 as 1.5. fastparquet returns a column of two-byte strings, b"\x00>",
#   dtype object, without a warning; and pyarrow itself, which wrote it, has no comparison, sum or sort
#   for the type, so that filters=[("h", ">", 1)] raises. Embeddings stored in half precision are such columns.
# Source: https://github.com/apache/parquet-format/blob/master/LogicalTypes.md (FLOAT16)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    pyarrow==26.0.1 fastparquet==2026.9.0 polars==2.1.0 duckdb==2.0.1 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import os
import tempfile

import duckdb
import fastparquet
import numpy as np
import polars
import pyarrow
import pyarrow.parquet

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "half.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"h": pyarrow.array(np.array([1.5, -2.0], np.float16))}), path)
    read = {
        "pyarrow": pyarrow.parquet.read_table(path)["h"].to_pylist(),
        "polars": polars.read_parquet(path)["h"].to_list(),
        "duckdb": [row[0] for row in duckdb.sql(f"select h from '{path}'").fetchall()],
        "fastparquet": fastparquet.ParquetFile(path).to_pandas()["h"].tolist(),
    }
    for name, values in read.items():
        print(f"{name}: {values}")
    assert read["polars"] == read["duckdb"] == [1.5, -2.0] and [float(value) for value in read["pyarrow"]] == [1.5, -2.0]
    assert read["fastparquet"] == [b"\x00>", b"\x00\xc0"], "fastparquet knows half floats now"
    try:
        pyarrow.parquet.read_table(path, filters=[("h", ">", np.float16(1))])
    except pyarrow.ArrowNotImplementedError as error:
        print("pyarrow, filtered:", error)
    else:
        raise AssertionError("pyarrow compares half floats now")
PYTHON

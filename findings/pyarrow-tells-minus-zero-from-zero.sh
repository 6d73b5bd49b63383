#!/usr/bin/env bash
# pyarrow joins and groups 0.0 and -0.0 as different keys; polars, pandas and DuckDB as one.
#
# With: pyarrow 26.0.1, polars 2.1.0, pandas 3.1.1, duckdb 2.0.1, Python 3.11.
# Expected: 0.0 == -0.0, so a row with the key 0.0 finds its mate under -0.0, and both are one group.
# Seen: pyarrow's Table.join finds no mate, group_by makes two groups, unique and value_counts list both,
#   is_in says no. A key that went through a multiplication by -1 or a rounding of -0.2 is -0.0. NaN, on
#   the other hand, matches itself in all four.
# Source: https://arrow.apache.org/docs/python/compute.html
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    pyarrow==26.0.1 polars==2.1.0 pandas==3.1.1 duckdb==2.0.1 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import duckdb
import pandas
import polars
import pyarrow
import pyarrow.compute as pc

first = pyarrow.table({"key": [0.0, float("nan")], "a": [1, 2]})
second = pyarrow.table({"key": [-0.0, float("nan")], "b": [3, 4]})
mates = {
    "pyarrow": [row["b"] for row in first.join(second, "key").sort_by("a").to_pylist()],
    "polars": polars.from_arrow(first).join(polars.from_arrow(second), on="key", how="left").sort("a")["b"].to_list(),
    "pandas": first.to_pandas().merge(second.to_pandas(), on="key", how="left").b.tolist(),
    "duckdb": [row[0] for row in duckdb.sql("select b from first left join second on first.key = second.key order by a").fetchall()],
}
print("mates of 0.0 and NaN:", mates)
assert mates == {"pyarrow": [None, 4], "polars": [3, 4], "pandas": [3, 4], "duckdb": [3, 4]}, "pyarrow joins zeros now"

keys = pyarrow.table({"key": [0.0, -0.0, 1.0]})
groups = {
    "pyarrow": len(keys.group_by("key").aggregate([])),
    "polars": polars.from_arrow(keys).n_unique("key"),
    "pandas": keys.to_pandas().key.nunique(),
}
print("groups of 0.0, -0.0, 1.0:", groups, "0.0 in [-0.0]:", pc.is_in(pyarrow.array([0.0]), pyarrow.array([-0.0])).to_pylist())
assert groups == {"pyarrow": 3, "polars": 2, "pandas": 2}
PYTHON

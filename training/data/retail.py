"""Online Retail as a log of baskets (Chen, Sain & Guo 2012; UCI Machine Learning Repository, CC BY 4.0).

Left out, with the reason:
  cancellations (InvoiceNo begins with C) and lines of no or negative quantity: nothing was bought;
  lines that are no product: postage, manual entries, discounts, fees, samples, vouchers. A product's StockCode is
  five digits with up to two letters; POST, M, D, BANK CHARGES, gift_0001_10 and DCGS… are not;
  lines without CustomerID (about a quarter): nobody's history.
A basket is an invoice, its time the invoice's first line, and a product counts once in it.

The protocol is next basket: each customer's last invoice is test, the last but one validation, and all before is the
history. All products of the catalogue are ranked. Those already bought stay on the list, since shops buy the same
again.
"""

import io
import lzma
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import csv

from training.data.interactions import Catalogue, InteractionSet, make_log
from training.data.public_sets import PUBLIC_SETS
from training.data.sources import local_files

PRODUCT = re.compile(r"\d{5}[A-Z]{0,2}")


class Line(NamedTuple):
    """An invoice line; `time` is an ISO timestamp, which sorts as text."""

    invoice: str
    code: str
    description: str
    quantity: int
    time: str
    customer: str


def read_retail(name: str) -> InteractionSet:
    public = PUBLIC_SETS[name]
    (path,) = local_files(public)
    kept, dropped = clean(_lines(path))
    items = sorted({line.code for line in kept})
    users = sorted({line.customer for line in kept})
    item_of = {code: index for index, code in enumerate(items, start=1)}
    user_of = {customer: number for number, customer in enumerate(users)}
    began: dict[str, str] = {}
    for line in kept:
        began[line.invoice] = min(line.time, began.get(line.invoice, line.time))
    log = make_log(
        [user_of[line.customer] for line in kept],
        [item_of[line.code] for line in kept],
        [f"{began[line.invoice]} {line.invoice}" for line in kept],
    )
    titles = _titles(kept)
    return InteractionSet(
        name=name,
        log=log,
        catalogue=Catalogue(tuple(items), tuple(titles[code] for code in items)),
        users=tuple(users),
        repeats=True,
        licence=public.licence,
        url=public.homepage,
        digest=public.digest(),
        skipped=tuple(f"{path.name}: {count:,} lines: {reason}" for reason, count in dropped.items()),
    )


def clean(lines: Iterable[Line]) -> tuple[list[Line], dict[str, int]]:
    """The lines that are purchases of products by somebody, and how many were dropped for which reason."""
    kept: list[Line] = []
    dropped: Counter[str] = Counter()
    for line in lines:
        reason = _fault(line)
        if reason:
            dropped[reason] += 1
        else:
            kept.append(line)
    return kept, dict(dropped)


def _fault(line: Line) -> str:
    if line.invoice.startswith("C") or line.quantity <= 0:
        return "cancelled, or nothing bought"
    if not PRODUCT.fullmatch(line.code):
        return "no product (postage, manual entry, fee)"
    return "" if line.customer else "no customer"


def _lines(path: Path) -> Iterator[Line]:
    """Invoice lines of the file; a lower-case stock code is its upper-case one, a customer `17850.0` is `17850`."""
    text = ["InvoiceNo", "StockCode", "Description", "InvoiceDate", "CustomerID"]
    options = csv.ConvertOptions(
        column_types={**{name: pa.string() for name in text}, "Quantity": pa.int64()}
    )
    table = csv.read_csv(io.BytesIO(lzma.decompress(path.read_bytes())), convert_options=options)
    columns = [table[name].to_pylist() for name in (*text[:3], "Quantity", *text[3:])]
    for invoice, code, description, quantity, time, customer in zip(*columns, strict=True):
        yield Line(invoice, code.upper(), description or "", quantity, time, customer.removesuffix(".0"))


def _titles(lines: Iterable[Line]) -> dict[str, str]:
    """The description that each product most often has."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        seen[line.code][" ".join(line.description.split())] += 1
    return {code: counts.most_common(1)[0][0] for code, counts in seen.items()}

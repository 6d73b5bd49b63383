"""Online Retail: which lines are purchases, and how invoices become baskets."""

import lzma
from pathlib import Path

import pytest

from training.data import retail
from training.data.retail import Line, clean, read_retail

RETAIL = [
    (Line("536365", "85123A", "HOLDER", 6, "2010-12-01", "17850"), None),
    (Line("C536379", "85123A", "HOLDER", -1, "2010-12-01", "17850"), "cancelled, or nothing bought"),
    (Line("536370", "POST", "POSTAGE", 3, "2010-12-01", "12583"), "no product (postage, manual entry, fee)"),
    (Line("536370", "gift_0001_20", "", 1, "2010-12-01", "1"), "no product (postage, manual entry, fee)"),
    (Line("536414", "22139", "", 56, "2010-12-01", ""), "no customer"),
]


@pytest.mark.parametrize(("line", "reason"), RETAIL, ids=[line.code + line.invoice for line, _ in RETAIL])
def test_lines_that_are_no_purchase_of_a_product_are_dropped_and_counted(
    line: Line, reason: str | None
) -> None:
    kept, dropped = clean([line])
    assert (len(kept), dropped) == ((1, {}) if reason is None else (0, {reason: 1}))


def test_an_invoice_is_one_basket_at_its_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "online-retail.csv.xz"
    lines = (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,CustomerID",
        "2,22139,TEA  SET,1,2011-01-02 09:00:00,17850.0",
        "1,85123a,HOLDER,6,2011-01-01 08:01:00,17850.0",
        "1,22139,TEA SET,2,2011-01-01 08:00:00,17850.0",
        "1,22139,TEA SET,2,2011-01-01 08:00:00,17850.0",
        "C3,22139,TEA SET,-1,2011-01-03 08:00:00,17850.0",
    )
    path.write_bytes(lzma.compress("\n".join(lines).encode()))
    monkeypatch.setattr(retail, "local_files", lambda _: [path])
    found = read_retail("online-retail")
    assert found.catalogue.ids == ("22139", "85123A")
    assert found.catalogue.titles == ("TEA SET", "HOLDER")
    assert found.users == ("17850",)
    assert (found.log.item.tolist(), found.log.basket.tolist()) == ([2, 1, 1], [0, 0, 1])
    assert found.skipped == ("online-retail.csv.xz: 1 lines: cancelled, or nothing bought",)

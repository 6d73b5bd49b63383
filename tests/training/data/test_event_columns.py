"""The columns of a file are found by the names that people give them, or asked for."""

import pytest

from training.data.event_columns import Columns, find_columns
from training.errors import DataError

PUBLIC = {
    "MovieLens": ("userId,movieId,rating,timestamp", Columns("userId", "movieId", "timestamp")),
    "Online Retail": (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
        Columns("CustomerID", "StockCode", "InvoiceDate", "Description"),
    ),
    "a shop's events": (
        "event_time,event_type,product_id,category_id,brand,price,user_id,user_session",
        Columns("user_id", "product_id", "event_time"),
    ),
    "visits": ("timestamp,visitorid,event,itemid,transactionid", Columns("visitorid", "itemid", "timestamp")),
    "books": ("user_id,book_id,rating", Columns("user_id", "book_id")),
    "German": ("Kundennr;Artikelnr;Datum;Bezeichnung", Columns("Kundennr", "Artikelnr", "Datum", "Bezeichnung")),
    "plain names win": ("customer_id,user,sku,item,timestamp,date", Columns("user", "item", "timestamp")),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_columns_are_found_by_their_usual_names(name: str) -> None:
    header, expected = PUBLIC[name]
    assert find_columns("sales.csv", header.replace(";", ",").split(","), Columns()) == expected


def test_a_flag_wins_and_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    there = ["who", "user", "item", "when"]
    assert find_columns("s.csv", there, Columns(user="who", time="when")) == Columns("who", "item", "when")
    with pytest.raises(DataError, match=r"no column 'whom'; it has 'who', .*Name yours with --user-column"):
        find_columns("s.csv", there, Columns(user="whom"))


def test_two_columns_of_one_meaning_are_a_question() -> None:
    with pytest.raises(
        DataError, match=r"the user may be 'customer' or 'client'; say which with --user-column"
    ):
        find_columns("s.csv", ["customer", "client", "item"], Columns())
    with pytest.raises(DataError, match=r"the time may be 'date' or 'time'; say which with --time-column"):
        find_columns("s.csv", ["user", "item", "date", "time"], Columns())


def test_a_file_without_names_says_so() -> None:
    with pytest.raises(DataError, match=r"no column 'user' or 'item', .* Its first row looks like data"):
        find_columns("u.tsv", ["196", "242", "3", "881250949"], Columns())

"""Which columns of a file hold user, item, time and title: by flag, or by their usual names.

Reading them is for `event_files`. Usual names are compared by their letters and digits alone, so that `CustomerID`,
`customer_id` and `Customer ID` are one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from training.data.columns import names, short
from training.errors import DataError


@dataclass(frozen=True)
class Columns:
    """The names of the columns. Given as flags, an empty one is found by its usual names; found, there is none.

    Without `time` rows are in order.
    """

    user: str = ""
    item: str = ""
    time: str = ""
    title: str = ""

    def named(self) -> list[str]:
        """Those that are there, in the order of the fields, each once."""
        return list(dict.fromkeys(name for name in (self.user, self.item, self.time, self.title) if name))


class Wanted(NamedTuple):
    """A column: its plain name, and its usual names in tiers, of which an earlier one wins.

    asks: two names of one tier are a question to the user; else the first is taken.
    """

    plain: str
    tiers: tuple[frozenset[str], ...]
    asks: bool = True

    @property
    def flag(self) -> str:
        return f"--{self.plain}-column"


USER = Wanted(
    "user",
    (
        names("user"),
        names(
            "userid uid username customer customerid customerno customernumber customercode client clientid "
            "buyer buyerid member memberid visitor visitorid account accountid shopper shopperid reviewer "
            "reviewerid profile profileid person personid cust custid kunde kundennr kundennummer kundenid "
            "cliente clienteid"
        ),
        names("session sessionid usersession visit visitid"),
    ),
)
ITEM = Wanted(
    "item",
    (
        names("item"),
        names(
            "itemid itemno itemcode itemnumber product productid productno productcode productnumber sku "
            "skuid stockcode asin article articleid articleno articlenumber articlecode movieid bookid isbn "
            "songid trackid artistid gameid businessid recipeid animeid courseid newsid videoid listingid "
            "contentid artikel artikelnr artikelnummer artikelid producto productoid produit"
        ),
        names("movie film book song track artist game recipe anime course video content"),
    ),
)
TIME = Wanted(
    "time",
    (
        names("timestamp unixtime unixtimestamp unixreviewtime ts"),
        names(
            "time date datetime eventtime eventdate eventtimestamp createdat created creationdate orderdate "
            "ordertime orderedat ordertimestamp orderpurchasetimestamp invoicedate purchasedate purchasetime "
            "purchasedat transactiondate transactiontime saledate salesdate reviewtime reviewdate "
            "ratingtimestamp ratedat watchedat listenedat playedat clicktime dateadded datum bestelldatum "
            "rechnungsdatum fecha"
        ),
    ),
)
TITLE = Wanted(
    "title",
    (
        names(
            "title itemtitle itemname producttitle productname articletitle articlename movietitle moviename "
            "booktitle songtitle songname tracktitle trackname artistname gamename recipename animename "
            "coursename"
        ),
        names("description itemdescription productdescription bezeichnung artikelbezeichnung descripcion"),
        names("product article artikel movie film book song track artist game recipe anime course video"),
    ),
    asks=False,
)


def find_columns(file: str, there: Sequence[str], given: Columns) -> Columns:
    """The four columns by flag or by name; `DataError` says which flag is needed where that is not plain."""
    user = _find(file, there, USER, given.user)
    item = _find(file, [name for name in there if name != user], ITEM, given.item)
    if not user or not item:
        raise _missing(file, there, [wanted for wanted, name in ((USER, user), (ITEM, item)) if not name])
    rest = [name for name in there if name not in (user, item)]
    time = _find(file, rest, TIME, given.time)
    return Columns(user, item, time, _find(file, rest, TITLE, given.title))


def _find(file: str, there: Sequence[str], wanted: Wanted, given: str) -> str:
    """The column that is meant, or nothing."""
    if given:
        if given not in there:
            raise _missing(file, there, [wanted], given)
        return given
    for tier in wanted.tiers:
        found = list(dict.fromkeys(name for name in there if _letters(name) in tier))
        if len(found) > 1 and wanted.asks:
            listed = " or ".join(map(repr, found))
            raise DataError(f"{file}: the {wanted.plain} may be {listed}; say which with {wanted.flag}")
        if found:
            return found[0]
    return ""


def _missing(file: str, there: Sequence[str], wanted: Sequence[Wanted], given: str = "") -> DataError:
    """The columns that are there, and the flags that name them."""
    missing = repr(given) if given else " or ".join(repr(one.plain) for one in wanted)
    has = ", ".join(repr(short(name)) for name in there) or "none, is the file empty?"
    flags = " and ".join(one.flag for one in wanted)
    usual = "" if given else ", nor one of another usual name"
    headless = there and all(_is_number(name) for name in there)
    hint = ". Its first row looks like data: put the columns' names above it" if headless else ""
    return DataError(f"{file}: no column {missing}{usual}; it has {has}. Name yours with {flags}{hint}")


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

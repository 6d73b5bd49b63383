"""A small made-up shop, drawn from a seed: for trying things without a network. No real purchase is in it.

Its structure is real enough to learn: customers keep to a few departments, staples are bought again, and some
products call for another one in the next basket (a printer for its ink). Scores on it say that the pipeline
works, and nothing about any model in the world.
"""

import numpy as np

from training.data.interactions import Catalogue, InteractionSet, make_log
from training.data.public_sets import PUBLIC_SETS

DEPARTMENTS = {
    "coffee": "espresso beans,filter beans,decaf beans,milk frother,moka pot,paper filters,grinder,cleaning tablets",
    "baking": "wheat flour,rye flour,yeast,baking tin,rolling pin,vanilla sugar,icing,cake stand",
    "garden": "potting soil,tomato seeds,basil seeds,watering can,trowel,plant food,clay pot,garden gloves",
    "office": "printer,ink cartridge,copy paper,notebook,ballpoint pens,stapler,staples,desk lamp",
    "bath": "hand soap,soap refill,shampoo,bath towel,bath mat,sponge,toothbrush,toothpaste",
    "pets": "cat food,cat litter,scratching post,dog food,dog leash,chew toy,bird seed,feeder",
    "toys": "wooden train,train tracks,puzzle,building blocks,plush bear,kite,board game,playing cards",
    "cycling": "bicycle pump,inner tube,chain oil,bicycle lamp,lamp batteries,helmet,water bottle,lock",
    "party": "paper cups,paper plates,napkins,balloons,candles,streamers,gift wrap,greeting card",
}
STAPLES = ("beans", "flour", "refill", "food", "litter", "paper", "toothpaste", "napkins", "seed", "filters")
FOLLOWS = {
    "printer": "ink cartridge",
    "moka pot": "espresso beans",
    "grinder": "filter beans",
    "hand soap": "soap refill",
    "wooden train": "train tracks",
    "bicycle lamp": "lamp batteries",
    "stapler": "staples",
    "feeder": "bird seed",
    "clay pot": "potting soil",
    "tomato seeds": "plant food",
    "baking tin": "icing",
    "gift wrap": "greeting card",
}
CUSTOMERS, SEED = 900, 7


def read_shop(name: str) -> InteractionSet:
    public = PUBLIC_SETS[name]
    titles = [title for listed in DEPARTMENTS.values() for title in listed.split(",")]
    events = [event for customer in range(CUSTOMERS) for event in _customer(customer, titles)]
    users, items, times = zip(*events, strict=True)
    log = make_log(users, items, times)
    ids = tuple(f"P{index:03d}" for index in range(1, len(titles) + 1))
    return InteractionSet(
        name=name,
        log=log,
        catalogue=Catalogue(ids, tuple(titles)),
        users=tuple(f"C{number:04d}" for number in range(CUSTOMERS)),
        repeats=True,
        licence=public.licence,
        url=None,
        digest=log.digest(),
    )


def _customer(number: int, titles: list[str]) -> list[tuple[int, int, int]]:
    """(user, item, time) of one customer's three to ten baskets."""
    draw = np.random.default_rng([SEED, number])
    liked = draw.choice(len(DEPARTMENTS), size=2, replace=False)
    shelf = np.concatenate([np.arange(8) + 8 * department for department in liked])
    popular = 1 / (1 + np.arange(len(titles)) % 8)
    taste = draw.dirichlet(np.full(len(shelf), 0.6)) * popular[shelf]
    taste /= taste.sum()
    needed: set[int] = set()
    bought: set[int] = set()
    events = []
    for time in range(draw.integers(3, 11)):
        chosen = set(draw.choice(shelf, size=draw.integers(1, 3), p=taste).tolist())
        chosen |= {item for item in needed if draw.random() < 0.8}
        chosen |= {item for item in bought if titles[item].endswith(STAPLES) and draw.random() < 0.5}
        if draw.random() < 0.3:
            chosen.add(int(draw.integers(len(titles))))
        needed = {titles.index(FOLLOWS[titles[item]]) for item in chosen if titles[item] in FOLLOWS}
        bought |= chosen
        events += [(number, item + 1, time) for item in sorted(chosen)]
    return events

"""The embedded text set: 4,000 messages to a support desk, composed by a grammar. Synthetic, and easy.

Nobody wrote these messages. They show the whole way from text to answer without a network; scores on them tell
nothing about real mail. Each is an opening, a matter and a closing, drawn with a fixed seed; the
test split's messages come from the same grammar, and no message occurs twice.
"""

import random
from itertools import count

CLASSES = ("account", "billing", "bug", "delivery", "praise")
ROWS, TEST_ROWS, SEED = 4000, 800, 11

_OPENINGS = (
    "", "", "Hello,", "Hi there,", "Good morning,", "Dear team,", "Quick question:", "Me again.",
    "I have been a customer for {years} years.", "Sorry to bother you.", "This is the second time I write.",
)  # fmt: skip
_CLOSINGS = (
    "", "", "Thanks.", "Please help.", "What should I do?", "Could you look into it?", "I wait for your answer.",
    "Best regards, {name}", "Please call me.", "It would be great to hear back {day}.",
)  # fmt: skip
_MATTERS = {
    "account": (
        "I cannot log in to my {account} since {day}.",
        "The password reset mail for my {account} never arrives.",
        "How do I change the {detail} of my {account}?",
        "My {account} is locked after {few} wrong passwords.",
        "Please delete my {account} and all my data.",
        "I would like to add a second user to my {account}.",
        "The code to sign in does not reach my phone.",
    ),
    "billing": (
        "I was charged {few} times for order {number}.",
        "The invoice for {product} shows {money} instead of {other}.",
        "When do I get my refund of {money}?",
        "My card was declined, but {money} left my bank.",
        "Please send the invoice for order {number} to my company.",
        "Why did the price of the {plan} plan go up to {money}?",
        "I cancelled the {plan} plan {day} and still had to pay.",
    ),
    "bug": (
        "The app crashes when I open {screen}.",
        "{screen} stays blank on my {device}.",
        "Since the update {screen} takes {few} minutes to load.",
        "An error {number} comes up when I save {screen}.",
        "The {device} version does not sync with the website.",
        "The button on {screen} does nothing.",
        "Search shows no results on my {device}, whatever I type.",
    ),
    "delivery": (
        "My {product} has not arrived; it was due {day}.",
        "The parcel with order {number} came to the wrong address.",
        "The {product} arrived broken, the box was wet.",
        "Tracking for order {number} has not moved for {few} days.",
        "Can the {product} be delivered {day} instead?",
        "I ordered {few} and only one {product} was in the parcel.",
        "The courier left my {product} in the rain.",
    ),
    "praise": (
        "I just want to say that the {product} is wonderful.",
        "Your colleague {name} solved it within {few} minutes, excellent.",
        "The new {screen} is so much better than before.",
        "Order {number} arrived a day early, well done.",
        "My whole family loves the {product}.",
        "The {plan} plan is worth every cent.",
        "Best service I have had in {years} years.",
    ),
}  # fmt: skip
_WORDS = {
    "account": ("account", "profile", "customer account", "team account", "login"),
    "detail": ("email address", "phone number", "name", "language", "delivery address"),
    "product": ("coffee machine", "desk lamp", "backpack", "headphones", "tent", "keyboard", "kettle", "jacket"),
    "plan": ("basic", "family", "premium", "business"),
    "screen": ("the calendar", "the settings", "my order list", "the start page", "the report", "the basket"),
    "device": ("phone", "tablet", "laptop", "old computer", "television"),
    "day": ("today", "yesterday", "on Monday", "on Friday", "last week", "this weekend", "tomorrow"),
    "few": ("two", "three", "four", "five", "ten"),
    "name": ("Ana", "Bilal", "Chen", "Dora", "Emeka", "Freya", "Goran", "Hana"),
    "years": ("two", "three", "six", "ten"),
}  # fmt: skip


def compose() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(text, class) rows of train and of test; always the same."""
    draw = random.Random(SEED)
    found: dict[str, str] = {}
    for number in count():
        if len(found) == ROWS:
            break
        label = CLASSES[number % len(CLASSES)]
        found.setdefault(_message(label, draw), label)
    rows = list(found.items())
    draw.shuffle(rows)
    return rows[TEST_ROWS:], rows[:TEST_ROWS]


def _message(label: str, draw: random.Random) -> str:
    parts = (draw.choice(_OPENINGS), draw.choice(_MATTERS[label]), draw.choice(_CLOSINGS))
    pattern = " ".join(part for part in parts if part)
    words = {slot: draw.choice(choices) for slot, choices in _WORDS.items()}
    first, second = draw.sample(range(5, 400), 2)
    return pattern.format(
        **words, number=draw.randrange(10_000, 99_999), money=f"{first} euros", other=f"{second} euros"
    )

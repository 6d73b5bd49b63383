"""The architectures by name: what `--arch` accepts, and what `--help` lists.

A builder takes what its task knows of the data first, then flat keyword options with defaults; those
options are what `--model` (or the `[model]` table of a configuration) may set, and nothing else is.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from training.architectures import (
    bag,
    cnn,
    lstm,
    matrix_factorisation,
    mlp,
    neumf,
    resnet,
    resnet9,
    sasrec,
    textcnn,
    transformer,
    two_towers,
    vit,
)
from training.errors import ConfigError


@dataclass(frozen=True)
class Architecture:
    """A named builder, with a line on what it is and where it was published.

    bf16_pays: whether a step is clearly shorter in bf16-mixed on a CPU that multiplies bf16. There convolutions gain
    more than the casts around them cost; attention, soft maxima and look-ups lose (`benchmarks.train_loop` with
    --precision: ResNet 0.71 of the step in fp32, LSTM 0.8, GRU 1.1, the Transformer encoder 2.0, SASRec 1.4).
    """

    name: str
    task: str
    build: Callable[..., nn.Module]
    summary: str
    paper: str
    bf16_pays: bool = False

    def options(self) -> dict[str, Any]:
        """The keyword options of the builder with their defaults."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


_ALL = (
    Architecture(
        "mlp",
        "vision",
        mlp.build,
        "fully connected layers on the flattened pixels: the baseline that knows nothing of pictures",
        "Rumelhart, Hinton & Williams 1986, doi:10.1038/323533a0",
    ),
    Architecture(
        "cnn",
        "vision",
        cnn.build,
        "convolutions and pooling, then a small classifier: LeNet with batch norm and ReLU",
        "LeCun, Bottou, Bengio & Haffner 1998, doi:10.1109/5.726791",
        bf16_pays=True,
    ),
    Architecture(
        "resnet",
        "vision",
        resnet.build,
        "residual blocks with batch norm and skips, wide and shallow so that a CPU can train it",
        "He, Zhang, Ren & Sun 2016, arXiv:1512.03385; wide: Zagoruyko & Komodakis 2016, arXiv:1605.07146",
        bf16_pays=True,
    ),
    Architecture(
        "resnet9",
        "vision",
        resnet9.build,
        "whitened patches, then a convolution, a pooling and residual blocks a stage: small pictures, few epochs",
        "Page 2018, myrtle.ai; Jordan 2024, arXiv:2404.00498",
        bf16_pays=True,
    ),
    Architecture(
        "vit",
        "vision",
        vit.build,
        "a Transformer encoder over patches of the picture",
        "Dosovitskiy et al. 2021, arXiv:2010.11929",
    ),
    Architecture(
        "bag",
        "text",
        bag.build,
        "hashed words and word pairs, weighted by naive Bayes and then by gradient: linear, cheap, hard to beat",
        "Wang & Manning 2012, aclanthology.org/P12-2018",
    ),
    Architecture(
        "textcnn",
        "text",
        textcnn.build,
        "filters over three to five words, and the strongest answer of each",
        "Kim 2014, arXiv:1408.5882",
    ),
    Architecture(
        "lstm",
        "text",
        lstm.build,
        "reads the words in order, both ways, with a gated memory",
        "Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
        bf16_pays=True,
    ),
    Architecture(
        "gru",
        "text",
        lstm.build_gru,
        "the same with one gate less",
        "Cho et al. 2014, arXiv:1406.1078",
    ),
    Architecture(
        "transformer",
        "text",
        transformer.build,
        "an encoder in which every word attends to every other",
        "Vaswani et al. 2017, arXiv:1706.03762",
    ),
    Architecture(
        "mf",
        "recommendation",
        matrix_factorisation.build,
        "a vector for each user and item, and their dot product: knows its users, not new ones",
        "Koren, Bell & Volinsky 2009, doi:10.1109/MC.2009.263; Rendle et al. 2020, arXiv:2005.09683",
    ),
    Architecture(
        "neumf",
        "recommendation",
        neumf.build,
        "matrix factorisation beside a multilayer perceptron on the pair: knows its users, not new ones",
        "He, Liao, Zhang, Nie, Hu & Chua 2017, arXiv:1708.05031",
    ),
    Architecture(
        "two-towers",
        "recommendation",
        two_towers.build,
        "a vector of the history and one of each item, from ids and titles, with a term for buying again",
        "Covington, Adams & Sargin 2016, doi:10.1145/2959100.2959190; Yi et al. 2019, doi:10.1145/3298689.3346996",
    ),
    Architecture(
        "sasrec",
        "recommendation",
        sasrec.build,
        "a causal Transformer over the history, trained with the full softmax at every position",
        "Kang & McAuley 2018, arXiv:1808.09781; Klenitskiy & Vasilev 2023, arXiv:2309.07602",
    ),
)

ARCHITECTURES = {architecture.name: architecture for architecture in _ALL}


def architectures_for(task: str) -> dict[str, Architecture]:
    return {name: found for name, found in ARCHITECTURES.items() if found.task == task}


def find_architecture(task: str, name: str) -> Architecture:
    known = architectures_for(task)
    if name not in known:
        raise ConfigError(f"arch: {name!r} is no architecture for {task}; there are {', '.join(known)}")
    return known[name]


def check_options(architecture: Architecture, options: Mapping[str, Any]) -> list[str]:
    """Faults of the `[model]` table against the builder's own keywords, one line each."""
    known = architecture.options()
    return [
        f"{name}: {architecture.name} has no such option; it has {', '.join(known)}"
        for name in options
        if name not in known
    ]

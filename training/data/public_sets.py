"""The named public data sets: their files, official addresses, checksums, licences and classes.

`training.data.sources` fetches the files; the readers beside it know their formats.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class PublicFile:
    """One file of a set: its path below `BATON_DATA`, and its address (None: there is no public copy)."""

    path: str
    sha256: str
    url: str | None = None


@dataclass(frozen=True)
class PublicSet:
    """A data set that can be asked for by name."""

    name: str
    task: str
    summary: str
    licence: str
    homepage: str
    files: tuple[PublicFile, ...]
    classes: tuple[str, ...] = ()

    def digest(self) -> str:
        """SHA-256 over the digests of all files: the manifest's digest of the data."""
        return hashlib.sha256("".join(file.sha256 for file in self.files).encode()).hexdigest()


_FASHION = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"


def _idx_files(folder: str, url: str, digests: tuple[str, str, str, str]) -> tuple[PublicFile, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        PublicFile(f"vision/{folder}/{name}-ubyte.gz", digest, f"{url}{name}-ubyte.gz")
        for name, digest in zip(names, digests, strict=True)
    )


_GROUPLENS = (
    "GroupLens: research use with acknowledgement; no redistribution, no commercial use without permission"
)


def _ml_1m(*files: tuple[str, str]) -> tuple[PublicFile, ...]:
    return tuple(PublicFile(f"recsys/ml-1m/{name}", digest) for name, digest in files)


_SASREC_ML_1M = (
    ("sasrec-ml-1m.txt.gz", "7c5d534ef3a363c21c424a260fa8e4e0dd0237d8370eb1a250280afbf03fd7dd"),
    ("sasrec-users-to-original.txt", "121893a66ab13fad83a67e12e3b3e6ddc56bcd01f0bcedf2ccb10bd8405e6239"),
    ("sasrec-items-to-original.txt", "9ae42c23af0b0fe2f189b9d5acc6cf3936bffe1a9568390cf5d100c0c1b1fca1"),
)


_SETS = (
    PublicSet(
        name="digits",
        task="vision",
        summary="1,797 handwritten digits of 8×8 pixels, embedded in scikit-learn; needs no network",
        licence="CC BY 4.0 (Alpaydin & Kaynak 1998, UCI Optical Recognition of Handwritten Digits)",
        homepage="https://archive.ics.uci.edu/dataset/80",
        files=(),
        classes=tuple("0123456789"),
    ),
    PublicSet(
        name="fashion",
        task="vision",
        summary="Fashion-MNIST: 60,000 + 10,000 grey images of clothes, 28×28",
        licence="MIT (Xiao, Rasul & Vollgraf 2017, Zalando SE)",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        files=_idx_files(
            "fashion-mnist",
            _FASHION,
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    ),
    PublicSet(
        name="mnist",
        task="vision",
        summary="MNIST: 60,000 + 10,000 grey handwritten digits, 28×28",
        licence="CC BY-SA 3.0 as usually given (LeCun, Cortes & Burges); none stated with the files",
        homepage="http://yann.lecun.com/exdb/mnist/",
        files=_idx_files(
            "mnist",
            _MNIST,
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
        classes=tuple("0123456789"),
    ),
    PublicSet(
        name="cifar10-jpeg",
        task="vision",
        summary="CIFAR-10 re-encoded as JPEG: 50,000 + 10,000 colour photographs, 32×32",
        licence="none stated (Krizhevsky 2009; lossy copies)",
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        files=(
            PublicFile(
                "vision/cifar10-jpeg.zip", "ead45e06542622104d3e17a0e554f18656c4cf310408a9ee502d835a28cf897d"
            ),
        ),
    ),
    PublicSet(
        name="tickets",
        task="text",
        summary="4,000 messages to a support desk in 5 classes, composed by a grammar here; needs no network",
        licence="Apache-2.0 (synthetic, part of Baton)",
        homepage="",
        files=(),
        classes=("account", "billing", "bug", "delivery", "praise"),
    ),
    PublicSet(
        name="imdb",
        task="text",
        summary="IMDB: 25,000 + 25,000 film reviews, negative or positive",
        licence="none stated; cite Maas et al. 2011",
        homepage="https://ai.stanford.edu/~amaas/data/sentiment/",
        files=(
            PublicFile(
                "text/imdb/train.csv.xz", "976471e7f8abc7dfa95b94f8cd5b07b94135ad28c80da2cd24922872ad9ea9ec"
            ),
            PublicFile(
                "text/imdb/test.csv.xz", "cd65afc2b9b59195d21439fafe691fab12c3c6639fc1cd24c98037eab23debf3"
            ),
        ),
        classes=("negative", "positive"),
    ),
    PublicSet(
        name="sst2",
        task="text",
        summary="SST-2: 67,349 phrases to train on, 872 + 1,821 sentences of film reviews, negative or positive",
        licence="none stated; cite Socher et al. 2013",
        homepage="https://nlp.stanford.edu/sentiment/",
        files=(
            PublicFile(
                "text/sst2/train.tsv.gz", "1c4843303462f8f93e006ff618a9e61d207468cafd030046d7d7fd6b78af342b"
            ),
            PublicFile(
                "text/sst2/dev.tsv.gz", "19553efc6f7bac0b7fdd37d4e29dc37c15e9e779767249a16f857fbfcedb23fa"
            ),
            PublicFile(
                "text/sst2/test.tsv.gz", "d4b84622426b0005f9061c725b15e93450877a9219b2e903ce3c6ca20e93f099"
            ),
        ),
        classes=("negative", "positive"),
    ),
    PublicSet(
        name="ag_news",
        task="text",
        summary="AG News: 120,000 + 7,600 news articles in 4 topics, as lower-cased tokens",
        licence="research and other non-commercial use (Gulli; Zhang, Zhao & LeCun 2015)",
        homepage="http://groups.di.unipi.it/~gulli/AG_corpus_of_news_articles.html",
        files=(
            PublicFile(
                "text/ag_news/train.tokens.csv.xz",
                "84dabb4f2ecf7af357ffce084f6c25858c24321475d35890a2262c878045adc2",
            ),
            PublicFile(
                "text/ag_news/test.csv.gz", "3c277beb6ce3dd635407635cb90a7c5ceaf87168fabb3be218e39aa2b097f706"
            ),
        ),
        classes=("World", "Sports", "Business", "Sci/Tech"),
    ),
    PublicSet(
        name="shop",
        task="recommendation",
        summary="900 made-up customers of a made-up shop, 72 products, drawn from a seed; needs no network",
        licence="CC0 1.0 (made up by this project)",
        homepage="",
        files=(),
    ),
    PublicSet(
        name="online-retail",
        task="recommendation",
        summary="Online Retail: invoices of a British gift shop, 2010-12 to 2011-12, as baskets",
        licence="CC BY 4.0 (Chen 2015, Online Retail, UCI Machine Learning Repository, doi:10.24432/C5BW33)",
        homepage="https://archive.ics.uci.edu/dataset/352/online+retail",
        files=(
            PublicFile(
                "recsys/online-retail/online-retail.csv.xz",
                "d166e479e8904fee731cf9a2bbff80586f751dc4a235d920755cf508016dbd49",
            ),
        ),
    ),
    PublicSet(
        name="movielens-1m",
        task="recommendation",
        summary="MovieLens 1M as SASRec uses it: next movie, full ranking",
        licence=_GROUPLENS,
        homepage="https://grouplens.org/datasets/movielens/1m/",
        files=_ml_1m(
            *_SASREC_ML_1M,
            ("movies.dat", "0140fc2356357c1a851d0f52e893a1e4d3696df632c4141cea8d5bc3d621f0b9"),
        ),
    ),
    PublicSet(
        name="movielens-1m-ncf",
        task="recommendation",
        summary="MovieLens 1M as NCF splits it: one held-out movie among 99 given negatives",
        licence=_GROUPLENS,
        homepage="https://grouplens.org/datasets/movielens/1m/",
        files=_ml_1m(
            ("ncf-ml-1m.train.pairs.gz", "8c1ca8d39d27c7baef5a06485dcc4aa55aded890da034140440c04d0163afa61"),
            ("ncf-ml-1m.test.rating.gz", "b1c79b74e632123e78fce4a770d2c4060ff9854f206870c9358187a15a7e66da"),
            (
                "ncf-ml-1m.test.negative.gz",
                "64a4a97e70c3be1f71cc383f01e37d1ef6e1afca0f7a74acc505f8d33fb9cf22",
            ),
            ("ncf-items-to-original.tsv", "b974f9805a1fcb819846ac8eb7c504a576e0a96f0ccf38c44d76e50031d070d4"),
            *_SASREC_ML_1M,
            ("movies.dat", "0140fc2356357c1a851d0f52e893a1e4d3696df632c4141cea8d5bc3d621f0b9"),
        ),
    ),
    PublicSet(
        name="movielens-100k",
        task="recommendation",
        summary="MovieLens 100K: next movie, full ranking",
        licence=_GROUPLENS,
        homepage="https://grouplens.org/datasets/movielens/100k/",
        files=(
            PublicFile(
                "recsys/ml-100k/u.data.gz", "d5cd19fba4562fe2867bf2964d99d97ec55bce45b150df3763dfa8668cf22f4f"
            ),
            PublicFile(
                "recsys/ml-100k/u.item", "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701"
            ),
        ),
    ),
)


PUBLIC_SETS = {public.name: public for public in _SETS}

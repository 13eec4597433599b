"""The eight classes and the file name format of BreaKHis (Spanhol et al. 2016)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

CLASSES = ("A", "F", "PT", "TA", "DC", "LC", "MC", "PC")
CLASS_NAMES = {
    "A": "adenosis",
    "F": "fibroadenoma",
    "PT": "phyllodes tumor",
    "TA": "tubular adenoma",
    "DC": "ductal carcinoma",
    "LC": "lobular carcinoma",
    "MC": "mucinous carcinoma",
    "PC": "papillary carcinoma",
}
MALIGNANT = frozenset({"DC", "LC", "MC", "PC"})
MAGNIFICATIONS = (40, 100, 200, 400)
HOME = "https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis/"
CITATION = (
    "F. A. Spanhol, L. S. Oliveira, C. Petitjean and L. Heutte, A Dataset for Breast Cancer Histopathological Image "
    "Classification, IEEE Transactions on Biomedical Engineering 63(7), 1455-1462, 2016. License: CC BY 4.0"
)

_NAME = re.compile(
    r"SOB_(?P<malignancy>[BM])_(?P<label>A|F|PT|TA|DC|LC|MC|PC)"
    r"-(?P<year>\d\d)-(?P<slide>\d+[A-Z]*)-(?P<magnification>40|100|200|400)-(?P<number>\d{3})",
    re.ASCII,
)


@dataclass(frozen=True)
class ImageName:
    """The fields of a BreaKHis file name, e.g. `SOB_M_DC-14-2523-100-001.png`.

    label: one of CLASSES. patient: year and slide, e.g. `14-2523`. magnification: 40, 100, 200 or 400.
    """

    label: str
    patient: str
    magnification: int
    number: int

    @property
    def malignant(self) -> bool:
        """True for the four carcinomas."""
        return self.label in MALIGNANT


def parse_name(path: str | PurePath) -> ImageName | None:
    """Parses a BreaKHis file name, with any folder and suffix; None if it is not one.

    A name whose benign/malignant letter contradicts its class is not a BreaKHis name.
    """
    match = _NAME.fullmatch(PurePath(path).stem)
    if match is None or (match["malignancy"] == "M") != (match["label"] in MALIGNANT):
        return None
    return ImageName(
        label=match["label"],
        patient=f"{match['year']}-{match['slide']}",
        magnification=int(match["magnification"]),
        number=int(match["number"]),
    )

"""Mexico's states with their zips, and the comparison of names of places."""

from __future__ import annotations

from customer_service.fiscal.characters import folded

_STATES = {
    "AGU|AGS|AGUASCALIENTES": range(20, 21),
    "BCN|BC|B C|BAJA CALIFORNIA|BAJA CALIFORNIA NORTE": range(21, 23),
    "BCS|B C S|BAJA CALIFORNIA SUR": range(23, 24),
    "CAM|CAMP|CAMPECHE": range(24, 25),
    "CHP|CHIS|CHIAPAS": range(29, 31),
    "CHH|CHIH|CHIHUAHUA": range(31, 34),
    "COA|COAH|COAHUILA|COAHUILA DE ZARAGOZA": range(25, 28),
    "COL|COLIMA": range(28, 29),
    "DIF|CMX|CDMX|DF|D F|CIUDAD DE MEXICO|CD DE MEXICO|CD MX|DISTRITO FEDERAL|MEXICO DF|MEXICO D F": range(17),
    "DUR|DGO|DURANGO": range(34, 36),
    "GUA|GTO|GUANAJUATO": range(36, 39),
    "GRO|GUERRERO": range(39, 42),
    "HID|HGO|HIDALGO": range(42, 44),
    "JAL|JALISCO": range(44, 50),
    "MEX|MEXICO|ESTADO DE MEXICO|EDO DE MEXICO|EDO DE MEX|EDO MEXICO|EDO MEX|EDOMEX": range(50, 58),
    "MIC|MICH|MICHOACAN|MICHOACAN DE OCAMPO": range(58, 62),
    "MOR|MORELOS": range(62, 63),
    "NAY|NAYARIT": range(63, 64),
    "NLE|NL|N L|NUEVO LEON": range(64, 68),
    "OAX|OAXACA": range(68, 72),
    "PUE|PUEBLA": range(72, 76),
    "QUE|QRO|QUERETARO|QUERETARO DE ARTEAGA": range(76, 77),
    "ROO|QR|Q R|Q ROO|QROO|QUINTANA ROO": range(77, 78),
    "SLP|S L P|SAN LUIS POTOSI": range(78, 80),
    "SIN|SINALOA": range(80, 83),
    "SON|SONORA": range(83, 86),
    "TAB|TABASCO": range(86, 87),
    "TAM|TAMPS|TAMAULIPAS": range(87, 90),
    "TLA|TLAX|TLAXCALA": range(90, 91),
    "VER|VERACRUZ|VERACRUZ DE IGNACIO DE LA LLAVE|VERACRUZ LLAVE": range(91, 97),
    "YUC|YUCATAN": range(97, 98),
    "ZAC|ZACATECAS": range(98, 100),
}
# The first name of each state is its key in the SAT's c_Estado; the Federal District has its old and its new key.

_ZIPS_BY_STATE = {name: zips for names, zips in _STATES.items() for name in names.split("|")}

_ARTICLES = {"EL", "LA", "LOS", "LAS", "DE", "DEL"}  # with `de`, and `del`, which contains an article

_MAXIMUM_PLACE_LENGTH = 200  # longer than any place; Unicode decomposition takes quadratic time


def zips_of(state: str) -> range | None:
    """Return the first two digits of the zips of a Mexican state, by any usual name; None if it is not a state."""
    return _ZIPS_BY_STATE.get(folded(state[:_MAXIMUM_PLACE_LENGTH]))


def is_same_place(name: str, other: str) -> bool:
    """Return whether two names of places differ only in case, accents, punctuation and articles."""
    return _words_of_place(name) == _words_of_place(other)


def _words_of_place(name: str) -> list[str]:
    return [word for word in folded(name[:_MAXIMUM_PLACE_LENGTH]).split() if word not in _ARTICLES]

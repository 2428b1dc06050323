"""The catalogues that the rules need: the SAT's regimes and uses, Mexico's states and legal forms, countries."""

from __future__ import annotations

import re
import unicodedata
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_USES_OF_ALL_REGIMES = frozenset({"S01", "CP01"})
_BUSINESS_USES = _USES_OF_ALL_REGIMES | {"G01", "G02", "G03", "I01", "I02", "I03", "I04", "I05", "I06", "I07", "I08"}
_DEDUCTION_USES = _USES_OF_ALL_REGIMES | {"D01", "D02", "D03", "D04", "D05", "D06", "D07", "D08", "D09", "D10"}

USES_BY_REGIME: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **dict.fromkeys(("601", "603", "620", "621", "622", "623", "624", "626"), _BUSINESS_USES),
        **dict.fromkeys(("606", "612", "625"), _BUSINESS_USES | _DEDUCTION_USES),
        **dict.fromkeys(("607", "608", "611", "614", "615"), _DEDUCTION_USES),
        "605": _DEDUCTION_USES | {"CN01"},
        "610": _USES_OF_ALL_REGIMES,
        "616": _USES_OF_ALL_REGIMES | {"G02"},
    }
)
"""The allowed uses of an invoice (c_UsoCFDI), by the regime of its receiver (c_RegimenFiscal)."""

USES = frozenset[str]().union(*USES_BY_REGIME.values())
"""Every use of c_UsoCFDI."""

COMPANY_REGIMES = frozenset({"601", "603", "610", "620", "622", "623", "624", "626"})
"""The regimes of c_RegimenFiscal for companies (personas morales)."""

PERSON_REGIMES = (frozenset(USES_BY_REGIME) - COMPANY_REGIMES) | {"610", "626"}
"""The regimes of c_RegimenFiscal for persons (personas físicas); two of them are for companies too."""

NO_OBLIGATIONS = "616"
"""The regime of receivers that are not in the SAT's register: the general public, and foreigners."""

_STATES = {
    "AGU|AGS|AGUASCALIENTES": range(20, 21),
    "BCN|BC|B C|BAJA CALIFORNIA|BAJA CALIFORNIA NORTE": range(21, 23),
    "BCS|B C S|BAJA CALIFORNIA SUR": range(23, 24),
    "CAM|CAMP|CAMPECHE": range(24, 25),
    "CHP|CHIS|CHIAPAS": range(29, 31),
    "CHH|CHIH|CHIHUAHUA": range(31, 34),
    "COA|COAH|COAHUILA|COAHUILA DE ZARAGOZA": range(25, 28),
    "COL|COLIMA": range(28, 29),
    "DIF|CMX|CDMX|DF|D F|CIUDAD DE MEXICO|DISTRITO FEDERAL|MEXICO DF|MEXICO D F": range(17),
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

_LEGAL_FORMS = (
    "SOCIEDAD ANONIMA|SOCIEDAD ANONIMA BURSATIL|SOCIEDAD ANONIMA PROMOTORA DE INVERSION"
    "|SOCIEDAD ANONIMA PROMOTORA DE INVERSION BURSATIL|SOCIEDAD POR ACCIONES SIMPLIFICADA|SOCIEDAD CIVIL"
    "|SOCIEDAD COOPERATIVA|SOCIEDAD DE PRODUCCION RURAL|SOCIEDAD EN COMANDITA SIMPLE"
    "|SOCIEDAD EN COMANDITA POR ACCIONES|SOCIEDAD EN NOMBRE COLECTIVO|SOCIEDAD DE RESPONSABILIDAD LIMITADA"
    "|ASOCIACION CIVIL|INSTITUCION DE ASISTENCIA PRIVADA|DE CV|DE CAPITAL VARIABLE|DE RESPONSABILIDAD LIMITADA"
    "|SOFOM|SOFOL|SOFIPO"
)
# These may also be a person's initials or surname: María Sá is not a stock corporation.
_SHORT_LEGAL_FORMS = (
    "SA|SAB|SAPI|SAPIB|SAS|SC|SCL|SCP|SCS|SRL|SSS|S EN C|S EN C POR A|S EN NC|SNC|A EN P|AC|ABP|IAP|IBP|ESAL"
)
_LIABLE_FORMS = "S|SCAP|SPR"  # legal forms only before a liability
_LIABILITIES = (
    "DE CV|DE RL|DE RI|DE RS|DE P DE RL|DE AP DE RL|DE CAPITAL VARIABLE|DE RESPONSABILIDAD LIMITADA"
    "|DE RESPONSABILIDAD ILIMITADA|DE RESPONSABILIDAD SUPLEMENTADA"
)
_ADDITIONS = (
    "CV|MI|DE IP|SFP|SOFOM|SOFOL|SOFIPO|ER|ENR|ENTIDAD REGULADA|ENTIDAD NO REGULADA|FILIAL"
    "|INSTITUCION DE BANCA MULTIPLE|INSTITUCION DE BANCA DE DESARROLLO|INSTITUCION DE SEGUROS|CASA DE BOLSA"
    "|SOCIEDAD FINANCIERA DE OBJETO MULTIPLE|SOCIEDAD FINANCIERA DE OBJETO LIMITADO|SOCIEDAD FINANCIERA POPULAR"
    "|SOCIEDAD OPERADORA DE FONDOS DE INVERSION|UNION DE CREDITO"
)
# What the statutes of banks end in: `Grupo Financiero Sigma`, `Sigma Grupo Financiero`, `Integrante del Grupo …`.
_FINANCIAL_GROUP = r"(?: \w+){0,3} GRUPO FINANCIERO(?: \w+)*"

_COUNTRIES = """
    ABW:AW AFG:AF AGO:AO AIA:AI ALA:AX ALB:AL AND:AD ARE:AE ARG:AR ARM:AM ASM:AS ATA:AQ ATF:TF ATG:AG AUS:AU AUT:AT
    AZE:AZ BDI:BI BEL:BE BEN:BJ BES:BQ BFA:BF BGD:BD BGR:BG BHR:BH BHS:BS BIH:BA BLM:BL BLR:BY BLZ:BZ BMU:BM BOL:BO
    BRA:BR BRB:BB BRN:BN BTN:BT BVT:BV BWA:BW CAF:CF CAN:CA CCK:CC CHE:CH CHL:CL CHN:CN CIV:CI CMR:CM COD:CD COG:CG
    COK:CK COL:CO COM:KM CPV:CV CRI:CR CUB:CU CUW:CW CXR:CX CYM:KY CYP:CY CZE:CZ DEU:DE DJI:DJ DMA:DM DNK:DK DOM:DO
    DZA:DZ ECU:EC EGY:EG ERI:ER ESH:EH ESP:ES EST:EE ETH:ET FIN:FI FJI:FJ FLK:FK FRA:FR FRO:FO FSM:FM GAB:GA GBR:GB
    GEO:GE GGY:GG GHA:GH GIB:GI GIN:GN GLP:GP GMB:GM GNB:GW GNQ:GQ GRC:GR GRD:GD GRL:GL GTM:GT GUF:GF GUM:GU GUY:GY
    HKG:HK HMD:HM HND:HN HRV:HR HTI:HT HUN:HU IDN:ID IMN:IM IND:IN IOT:IO IRL:IE IRN:IR IRQ:IQ ISL:IS ISR:IL ITA:IT
    JAM:JM JEY:JE JOR:JO JPN:JP KAZ:KZ KEN:KE KGZ:KG KHM:KH KIR:KI KNA:KN KOR:KR KWT:KW LAO:LA LBN:LB LBR:LR LBY:LY
    LCA:LC LIE:LI LKA:LK LSO:LS LTU:LT LUX:LU LVA:LV MAC:MO MAF:MF MAR:MA MCO:MC MDA:MD MDG:MG MDV:MV MEX:MX MHL:MH
    MKD:MK MLI:ML MLT:MT MMR:MM MNE:ME MNG:MN MNP:MP MOZ:MZ MRT:MR MSR:MS MTQ:MQ MUS:MU MWI:MW MYS:MY MYT:YT NAM:NA
    NCL:NC NER:NE NFK:NF NGA:NG NIC:NI NIU:NU NLD:NL NOR:NO NPL:NP NRU:NR NZL:NZ OMN:OM PAK:PK PAN:PA PCN:PN PER:PE
    PHL:PH PLW:PW PNG:PG POL:PL PRI:PR PRK:KP PRT:PT PRY:PY PSE:PS PYF:PF QAT:QA REU:RE ROU:RO RUS:RU RWA:RW SAU:SA
    SDN:SD SEN:SN SGP:SG SGS:GS SHN:SH SJM:SJ SLB:SB SLE:SL SLV:SV SMR:SM SOM:SO SPM:PM SRB:RS SSD:SS STP:ST SUR:SR
    SVK:SK SVN:SI SWE:SE SWZ:SZ SXM:SX SYC:SC SYR:SY TCA:TC TCD:TD TGO:TG THA:TH TJK:TJ TKL:TK TKM:TM TLS:TL TON:TO
    TTO:TT TUN:TN TUR:TR TUV:TV TWN:TW TZA:TZ UGA:UG UKR:UA UMI:UM URY:UY USA:US UZB:UZ VAT:VA VCT:VC VEN:VE VGB:VG
    VIR:VI VNM:VN VUT:VU WLF:WF WSM:WS YEM:YE ZAF:ZA ZMB:ZM ZWE:ZW
"""

COUNTRIES: Mapping[str, str] = MappingProxyType(dict(pair.split(":") for pair in _COUNTRIES.split()))
"""The alpha-2 codes of ISO 3166-1, by the alpha-3 codes."""

_ARTICLES = {"EL", "LA", "LOS", "LAS", "DE", "DEL"}  # with `de`, and `del`, which contains an article

_SEPARATORS = " ,;:/([{-–—"  # a period ends an abbreviation, such as CIA., and stays

_MAXIMUM_FOLDED_LENGTH = 200  # longer than any place or legal form; Unicode decomposition takes quadratic time


def zips_of(state: str) -> range | None:
    """Return the first two digits of the zips of a Mexican state, by any usual name; None if it is not a state."""
    return _ZIPS_BY_STATE.get(_fold(state[:_MAXIMUM_FOLDED_LENGTH]))


def is_same_place(name: str, other: str) -> bool:
    """Whether two names of places differ only in case, accents, punctuation and articles."""
    return _words_of_place(name) == _words_of_place(other)


def has_legal_form(name: str, *, is_company: bool) -> bool:
    """Whether the name ends in a legal form, such as S.A. de C.V.; short forms count only for companies."""
    return _NAME_AND_LEGAL_FORM[is_company].search(_fold(name[-_MAXIMUM_FOLDED_LENGTH:])) is not None


def without_legal_form(name: str, *, is_company: bool) -> str:
    """Return the name without the legal form at its end and the separators before it.

    It returns an empty text if the name is only a legal form.
    """
    form = _LEGAL_FORM[is_company].search(_fold(name[-_MAXIMUM_FOLDED_LENGTH:]))
    return name[: _start_of(form[1], name)].rstrip(_SEPARATORS) if form else name


def _start_of(ending: str, name: str) -> int:
    """Return the index in the name at which its folded ending begins: count as many letters from the end."""
    start, letters = len(name), len(ending.replace(" ", ""))
    while letters > 0:
        start -= 1
        letters -= len(_fold(name[start]).replace(" ", ""))
    return start


def _words_of_place(name: str) -> list[str]:
    return [word for word in _fold(name[:_MAXIMUM_FOLDED_LENGTH]).split() if word not in _ARTICLES]


def _fold(text: str) -> str:
    """Return the text in capitals without accents and punctuation, with one space between words."""
    letters = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return re.sub(r"[\W_]+", " ", letters).strip().upper()


def _spaced(forms: str) -> str:
    """Return a regular expression that matches any of these forms, with or without spaces between letters."""
    return f"(?:{'|'.join(' ?'.join(form.replace(' ', '')) for form in forms.split('|'))})"


_LIABILITY = _spaced(_LIABILITIES)
_MORE = rf"(?: ?{_LIABILITY}| {_spaced(_ADDITIONS)})*(?:{_FINANCIAL_GROUP})?"
_PLAIN = rf"(?:{_spaced(_LEGAL_FORMS)}|{_spaced(f'{_LIABLE_FORMS}|{_SHORT_LEGAL_FORMS}')} ?{_LIABILITY}){_MORE}"
_ENDINGS = {False: _PLAIN, True: f"(?:{_PLAIN}|{_spaced(_SHORT_LEGAL_FORMS)}{_MORE})"}
_NAME_AND_LEGAL_FORM = {is_company: re.compile(rf"\S {ending}\Z") for is_company, ending in _ENDINGS.items()}
_LEGAL_FORM = {is_company: re.compile(rf"(?:\A| )({ending})\Z") for is_company, ending in _ENDINGS.items()}

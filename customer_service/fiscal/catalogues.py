"""The codes that a write accepts: the SAT's regimes and uses of CFDI 4.0, and the countries of ISO 3166-1."""

from __future__ import annotations

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

"""Amounts are integers of minor units. ISO 4217 says how many decimals a currency has."""

_TWO_DECIMALS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
    "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR "
    "ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV "
    "MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
    "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"

EXPONENT: dict[str, int] = {
    code: exponent
    for codes, exponent in ((_NO_DECIMALS, 0), (_TWO_DECIMALS, 2), (_THREE_DECIMALS, 3), (_FOUR_DECIMALS, 4))
    for code in codes.split()
}
"""Decimals of every active ISO 4217 currency. Metals, test codes and their like are not here."""

_DECIMAL_10_2_MAX = 10**10 - 1  # in hundredths


def divisor(currency: str) -> int:
    """How many minor units make one major unit. KeyError for an unknown currency, as everywhere in this module."""
    return int(10 ** EXPONENT[currency])


def format_minor(amount_minor: int, currency: str) -> str:
    """The amount in major units, without its currency: "1,000.00" for 100000 in USD, "1,000" for 1000 in JPY."""
    exponent = EXPONENT[currency]
    if exponent == 0:
        return f"{amount_minor:,}"
    sign = "-" if amount_minor < 0 else ""
    major, minor = divmod(abs(amount_minor), int(10**exponent))
    return f"{sign}{major:,}.{minor:0{exponent}}"


def fits_decimal_10_2(amount_minor: int, currency: str) -> bool:
    """True when DECIMAL(10,2) holds the amount in major units exactly: with three decimals, the last one must be 0."""
    hundredths, rest = divmod(abs(amount_minor) * 100, divisor(currency))
    return rest == 0 and hundredths <= _DECIMAL_10_2_MAX

"""How addresses look where they are: what a postal code is, and where a state is part of the address."""

import re
from typing import Final, NamedTuple

from authsvc.errors import InvalidRequest

_US: Final = (
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR "
    "PA RI SC SD TN TX UT VT VA WA WV WI WY DC AS GU MP PR VI UM AA AE AP"
)
_CA: Final = "AB BC MB NB NL NS NT NU ON PE QC SK YT"
_AU: Final = "ACT NSW NT QLD SA TAS VIC WA"
_BR: Final = "AC AL AP AM BA CE DF ES GO MA MT MS MG PA PB PR PE PI RJ RN RS RO RR SC SP SE TO"
_STATE_ELSEWHERE: Final = re.compile(r"[A-Z0-9]{1,3}")
_CODE_ELSEWHERE: Final = re.compile(r"[A-Z0-9][A-Z0-9 -]{1,9}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
# Countries and places whose mail knows no postal codes.
_NO_CODES: Final = (
    "AE AG AO AW BF BI BJ BO BS BW BZ CD CF CG CI CK CM DJ DM ER FJ GA GD GH GM GQ GY HK KI KM KP LC LY ML MO MR MW NR "
    "QA RW SB SC SL SO SR ST SY TD TG TK TO TV UG VU YE ZW"
)
_WITHOUT_CODE: Final = frozenset(_NO_CODES.split())


class Form(NamedTuple):
    """A country's form. `states` None: none is asked for."""

    code: re.Pattern[str]
    example: str
    states: frozenset[str] | None = None


_FORMS: Final = {
    "US": Form(re.compile(r"[0-9]{5}(-[0-9]{4})?"), "98101 or 98101-1234", frozenset(_US.split())),
    "CA": Form(re.compile(r"[ABCEGHJ-NPRSTVXY][0-9][A-Z] ?[0-9][A-Z][0-9]"), "K1A 0B1", frozenset(_CA.split())),
    "AU": Form(re.compile(r"[0-9]{4}"), "2000", frozenset(_AU.split())),
    "BR": Form(re.compile(r"[0-9]{5}-?[0-9]{3}"), "01310-100", frozenset(_BR.split())),
    "GB": Form(re.compile(r"[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}"), "SW1A 1AA"),
    "IE": Form(re.compile(r"[A-Z][0-9][0-9W] ?[A-Z0-9]{4}"), "D02 X285"),
    "NL": Form(re.compile(r"[0-9]{4} ?[A-Z]{2}"), "1011 AB"),
    "PL": Form(re.compile(r"[0-9]{2}-[0-9]{3}"), "00-950"),
    "PT": Form(re.compile(r"[0-9]{4}-[0-9]{3}"), "1000-205"),
    "SE": Form(re.compile(r"[0-9]{3} ?[0-9]{2}"), "111 22"),
    "JP": Form(re.compile(r"[0-9]{3}-?[0-9]{4}"), "100-0001"),
    "IN": Form(re.compile(r"[1-9][0-9]{5}"), "110001"),
    "SG": Form(re.compile(r"[0-9]{6}"), "018956"),
    **dict.fromkeys(("AT", "BE", "CH", "DK", "NO", "NZ"), Form(re.compile(r"[0-9]{4}"), "1010")),
    **dict.fromkeys(("DE", "ES", "FI", "FR", "IT", "MX"), Form(re.compile(r"[0-9]{5}"), "10115")),
}


def check(country: str, state: str | None, postal_code: str | None) -> None:
    """Raises `InvalidRequest` with the first field that cannot be part of an address of the country."""
    if not _COUNTRY.fullmatch(country):
        raise InvalidRequest("country", "must be the ISO 3166-1 code of a country, two capital letters like US")
    form = _FORMS.get(country)
    if form is not None and form.states is not None and state not in form.states:
        raise InvalidRequest("state", f"must be one of {country}'s, by its ISO 3166-2 letters")
    if state is not None and not _STATE_ELSEWHERE.fullmatch(state):
        raise InvalidRequest("state", "must be one to three letters or digits of ISO 3166-2")
    if postal_code is None:
        if country not in _WITHOUT_CODE:
            raise InvalidRequest("postal_code", f"is required in {country}")
    elif form is not None and not form.code.fullmatch(postal_code):
        raise InvalidRequest("postal_code", f"must look like {form.example} in {country}")
    elif not _CODE_ELSEWHERE.fullmatch(postal_code):
        raise InvalidRequest("postal_code", "must be 2 to 10 letters, digits, spaces and hyphens")

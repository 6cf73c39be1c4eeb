"""What is wrong with one field of a request, in French; pydantic has English only (its docs, «Validation Errors»)."""

from collections.abc import Mapping
from typing import Any

FRENCH = {
    "bool_parsing": "Vrai ou faux est attendu.",
    "bool_type": "Vrai ou faux est attendu.",
    "date_from_datetime_parsing": "Une date est attendue (AAAA-MM-JJ).",
    "date_parsing": "Une date est attendue (AAAA-MM-JJ).",
    "datetime_from_date_parsing": "Une date et une heure sont attendues (RFC 3339).",
    "datetime_parsing": "Une date et une heure sont attendues (RFC 3339).",
    "datetime_type": "Une date et une heure sont attendues (RFC 3339).",
    "decimal_parsing": "Un nombre décimal est attendu.",
    "dict_type": "Un objet est attendu.",
    "enum": "Valeurs possibles : {expected}.",
    "extra_forbidden": "Ce champ n'existe pas ici.",
    "float_parsing": "Un nombre est attendu.",
    "float_type": "Un nombre est attendu.",
    "greater_than": "Doit être supérieur à {gt}.",
    "greater_than_equal": "Doit être supérieur ou égal à {ge}.",
    "int_from_float": "Un nombre entier est attendu.",
    "int_parsing": "Un nombre entier est attendu.",
    "int_parsing_size": "Ce nombre est trop grand.",
    "int_type": "Un nombre entier est attendu.",
    "json_invalid": "Le JSON est illisible.",
    "less_than": "Doit être inférieur à {lt}.",
    "less_than_equal": "Doit être inférieur ou égal à {le}.",
    "list_type": "Une liste est attendue.",
    "literal_error": "Valeurs possibles : {expected}.",
    "missing": "Ce champ est obligatoire.",
    "model_attributes_type": "Un objet est attendu.",
    "model_type": "Un objet est attendu.",
    "string_pattern_mismatch": "N'a pas la forme attendue ({pattern}).",
    "string_too_long": "Au plus {max_length} caractères.",
    "string_too_short": "Au moins {min_length} caractères.",
    "string_type": "Un texte est attendu.",
    "timezone_aware": "Le fuseau horaire est obligatoire.",
    "too_long": "Au plus {max_length} éléments.",
    "too_short": "Au moins {min_length} éléments.",
    "url_parsing": "Une adresse (URL) est attendue.",
    "uuid_parsing": "Un identifiant (UUID) est attendu.",
    "uuid_type": "Un identifiant (UUID) est attendu.",
}
"""By pydantic's type of error; its context fills the blanks."""

OTHERWISE = "Cette valeur n'est pas valable."


def field_message(error: Mapping[str, Any], language: str) -> str:
    """Return one error's sentence: pydantic's own in English, else ours."""
    if language != "fr":
        return str(error["msg"])
    try:
        context = dict(error.get("ctx", {}))
        if "expected" in context:
            context["expected"] = context["expected"].replace(" or ", " ou ")
        return FRENCH.get(error["type"], OTHERWISE).format(**context)
    except (KeyError, IndexError):
        return OTHERWISE

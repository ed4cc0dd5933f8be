"""What severities are called where customers read of them: the published page's words, in four languages."""

from __future__ import annotations

from shared.facts import Severity

PUBLISHED: dict[str, dict[Severity, str]] = {
    "fr": {
        "down": "Application coupée en production",
        "serious": "Dégradation sérieuse",
        "moderate": "Impact modéré",
        "limited": "Impact limité",
    },
    "de": {
        "down": "Anwendung im Betrieb ausgefallen",
        "serious": "Schwerwiegende Beeinträchtigung",
        "moderate": "Mässige Auswirkung",
        "limited": "Geringe Auswirkung",
    },
    "it": {
        "down": "Applicazione interrotta in produzione",
        "serious": "Degrado grave",
        "moderate": "Impatto moderato",
        "limited": "Impatto limitato",
    },
    "en": {
        "down": "Application down in production",
        "serious": "Serious degradation",
        "moderate": "Moderate impact",
        "limited": "Limited impact",
    },
}
"""The French names are the page's own."""

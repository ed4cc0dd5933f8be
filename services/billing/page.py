"""An invoice as a plain page to read or print, in the subscription's language."""

from __future__ import annotations

from datetime import date, timedelta

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from services.billing.statements import Invoice
from shared.money import format_amount

_environment = Environment(
    loader=PackageLoader("services.billing"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

_WORDS = {
    "fr": {
        "invoice": "Facture",
        "voided": "Annulée",
        "account": "Compte",
        "subscription": "Abonnement",
        "issued_on": "Date",
        "term": "Période",
        "amount": "Montant",
        "fee": "Abonnement",
        "deduction": "Avoir déduit",
        "taken-back": "Correction d'un avoir déjà déduit",
        "rounding": "Arrondi",
        "total": "Total à payer",
        "carried_over": "Avoir reporté sur la prochaine facture",
        "held": "Avoir en cours de vérification, pas encore déduit",
        "uptime": "disponibilité",
        "outage": "coupure",
    },
    "de": {
        "invoice": "Rechnung",
        "voided": "Storniert",
        "account": "Konto",
        "subscription": "Abonnement",
        "issued_on": "Datum",
        "term": "Zeitraum",
        "amount": "Betrag",
        "fee": "Abonnement",
        "deduction": "Abgezogene Gutschrift",
        "taken-back": "Korrektur einer bereits abgezogenen Gutschrift",
        "rounding": "Rundung",
        "total": "Zu bezahlen",
        "carried_over": "Gutschrift für die nächste Rechnung",
        "held": "Gutschrift in Prüfung, noch nicht abgezogen",
        "uptime": "Verfügbarkeit",
        "outage": "Ausfall",
    },
    "it": {
        "invoice": "Fattura",
        "voided": "Annullata",
        "account": "Conto",
        "subscription": "Abbonamento",
        "issued_on": "Data",
        "term": "Periodo",
        "amount": "Importo",
        "fee": "Abbonamento",
        "deduction": "Accredito dedotto",
        "taken-back": "Correzione di un accredito già dedotto",
        "rounding": "Arrotondamento",
        "total": "Totale da pagare",
        "carried_over": "Accredito riportato sulla prossima fattura",
        "held": "Accredito in verifica, non ancora dedotto",
        "uptime": "disponibilità",
        "outage": "interruzione",
    },
    "en": {
        "invoice": "Invoice",
        "voided": "Void",
        "account": "Account",
        "subscription": "Subscription",
        "issued_on": "Date",
        "term": "Term",
        "amount": "Amount",
        "fee": "Subscription",
        "deduction": "Credit deducted",
        "taken-back": "Correction of a credit deducted before",
        "rounding": "Rounding",
        "total": "Total to pay",
        "carried_over": "Credit carried over to the next invoice",
        "held": "Credit being checked, not deducted yet",
        "uptime": "uptime",
        "outage": "outage",
    },
}


def invoice_page(invoice: Invoice) -> str:
    """HTML of `invoice`; a language nobody translated is shown in English."""
    return _environment.get_template("invoice.html").render(
        invoice=invoice,
        words=_WORDS.get(invoice.language, _WORDS["en"]),
        last_day=invoice.term_end - timedelta(days=1),
        money=format_amount,
        day=_day,
    )


def _day(day: date) -> str:
    return day.strftime("%d.%m.%Y")

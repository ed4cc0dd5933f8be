"""What readers are told when they subscribe, confirm and unsubscribe, in four languages."""

from __future__ import annotations

from msgspec import Struct

from services.status.site import Language


class Told(Struct, frozen=True):
    """A page: its title and paragraphs; `button`: what the button on it says, where it has one."""

    title: str
    paragraphs: tuple[str, ...]
    button: str = ""


class Words(Struct, frozen=True):
    """Every page of the forms."""

    asked: Told
    bad_address: Told
    too_many: Told
    impossible: Told
    later: Told
    confirm: Told
    confirmed: Told
    stale: Told
    leave: Told
    left: Told


WORDS: dict[Language, Words] = {
    "fr": Words(
        asked=Told(
            "Regardez vos messages",
            (
                "Si cette adresse peut recevoir des nouvelles, un message vient de partir avec un lien de "
                "confirmation, valable 48 heures.",
                "Rien ne vous sera envoyé avant que vous ayez confirmé. Si rien n’arrive, regardez aussi "
                "parmi les messages indésirables.",
            ),
        ),
        bad_address=Told(
            "Cette adresse n’est pas utilisable",
            ("Revenez en arrière et donnez une seule adresse, de la forme nom@domaine.",),
        ),
        too_many=Told(
            "Trop de demandes",
            ("Trop d’abonnements ont été demandés depuis peu. Veuillez réessayer dans une heure.",),
        ),
        impossible=Told(
            "Pas d’abonnement pour l’instant",
            ("Cette page ne peut pas encore envoyer de messages. Ses flux donnent les mêmes nouvelles.",),
        ),
        later=Told(
            "Cela n’a pas marché",
            ("Votre demande n’a pas pu être enregistrée. Veuillez réessayer dans quelques minutes.",),
        ),
        confirm=Told(
            "Confirmer l’abonnement",
            (
                "Vous recevrez un message à chaque interruption, incident ou maintenance. Vous pourrez y "
                "mettre fin d’un clic, à tout moment.",
            ),
            "Oui, envoyez-moi les nouvelles",
        ),
        confirmed=Told(
            "Vous êtes abonné·e",
            (
                "Les prochaines nouvelles vous parviendront. Chaque message contient un lien pour y mettre "
                "fin.",
            ),
        ),
        stale=Told(
            "Ce lien n’est plus valable",
            ("Un lien de confirmation vaut 48 heures, puis l’adresse est oubliée. Abonnez-vous à nouveau.",),
        ),
        leave=Told(
            "Ne plus recevoir de nouvelles",
            ("L’abonnement prend fin aussitôt, et l’adresse est effacée.",),
            "Mettre fin à l’abonnement",
        ),
        left=Told(
            "L’abonnement a pris fin",
            ("Plus aucun message ne vous sera envoyé, et votre adresse est effacée.",),
        ),
    ),
    "de": Words(
        asked=Told(
            "Sehen Sie in Ihrem Postfach nach",
            (
                "Falls diese Adresse Meldungen erhalten kann, ist soeben eine Nachricht mit einem "
                "Bestätigungslink abgegangen. Er gilt 48 Stunden.",
                "Vor Ihrer Bestätigung wird Ihnen nichts geschickt. Kommt nichts an, so sehen Sie auch im "
                "Spam-Ordner nach.",
            ),
        ),
        bad_address=Told(
            "Diese Adresse ist nicht brauchbar",
            ("Gehen Sie zurück und geben Sie eine einzige Adresse der Form name@domain ein.",),
        ),
        too_many=Told(
            "Zu viele Anfragen",
            ("In kurzer Zeit wurden zu viele Abonnemente verlangt. Bitte versuchen Sie es in einer Stunde.",),
        ),
        impossible=Told(
            "Zurzeit kein Abonnement möglich",
            (
                "Diese Seite kann noch keine Nachrichten verschicken. Ihre Feeds enthalten dieselben "
                "Meldungen.",
            ),
        ),
        later=Told(
            "Das hat nicht geklappt",
            ("Ihre Anfrage konnte nicht festgehalten werden. Bitte versuchen Sie es in einigen Minuten.",),
        ),
        confirm=Told(
            "Abonnement bestätigen",
            (
                "Sie erhalten eine Nachricht zu Unterbrüchen, Vorfällen und Wartungen. Mit einem Klick "
                "können Sie das jederzeit beenden.",
            ),
            "Ja, schicken Sie mir die Meldungen",
        ),
        confirmed=Told(
            "Sie haben die Meldungen abonniert",
            ("Die nächsten Meldungen kommen zu Ihnen. Jede enthält einen Link, um das zu beenden.",),
        ),
        stale=Told(
            "Dieser Link gilt nicht mehr",
            (
                "Ein Bestätigungslink gilt 48 Stunden, danach wird die Adresse vergessen. Abonnieren Sie "
                "bitte noch einmal.",
            ),
        ),
        leave=Told(
            "Keine Meldungen mehr erhalten",
            ("Das Abonnement endet sofort, und die Adresse wird gelöscht.",),
            "Abonnement beenden",
        ),
        left=Told(
            "Das Abonnement ist beendet",
            ("Sie erhalten keine Nachrichten mehr, und Ihre Adresse ist gelöscht.",),
        ),
    ),
    "it": Words(
        asked=Told(
            "Controlli la Sua posta",
            (
                "Se questo indirizzo può ricevere notizie, è appena partito un messaggio con un link di "
                "conferma, valido per 48 ore.",
                "Prima della Sua conferma non Le verrà inviato nulla. Se non arriva niente, guardi anche "
                "nella posta indesiderata.",
            ),
        ),
        bad_address=Told(
            "Questo indirizzo non è utilizzabile",
            ("Torni indietro e indichi un solo indirizzo, nella forma nome@dominio.",),
        ),
        too_many=Told(
            "Troppe richieste",
            ("In poco tempo sono state chieste troppe iscrizioni. Riprovi tra un’ora.",),
        ),
        impossible=Told(
            "Per ora nessuna iscrizione",
            ("Questa pagina non può ancora inviare messaggi. I suoi feed danno le stesse notizie.",),
        ),
        later=Told(
            "Non è andata a buon fine",
            ("La Sua richiesta non ha potuto essere registrata. Riprovi tra qualche minuto.",),
        ),
        confirm=Told(
            "Confermare l’iscrizione",
            (
                "Riceverà un messaggio a ogni interruzione, incidente o manutenzione. Potrà smettere in "
                "qualsiasi momento con un clic.",
            ),
            "Sì, inviatemi le notizie",
        ),
        confirmed=Told(
            "L’iscrizione è confermata",
            ("Le prossime notizie Le arriveranno. Ogni messaggio contiene un link per smettere.",),
        ),
        stale=Told(
            "Questo link non è più valido",
            ("Un link di conferma vale 48 ore, poi l’indirizzo viene dimenticato. Si iscriva di nuovo.",),
        ),
        leave=Told(
            "Non ricevere più notizie",
            ("L’iscrizione termina subito e l’indirizzo viene cancellato.",),
            "Terminare l’iscrizione",
        ),
        left=Told(
            "L’iscrizione è terminata",
            ("Non Le verranno più inviati messaggi e il Suo indirizzo è cancellato.",),
        ),
    ),
    "en": Words(
        asked=Told(
            "Look at your mail",
            (
                "If this address can get news, a message with a link to confirm has just been sent. The link "
                "works for 48 hours.",
                "Nothing else is sent before you confirm. If nothing arrives, look among unwanted mail as "
                "well.",
            ),
        ),
        bad_address=Told(
            "This address cannot be used",
            ("Go back and give a single address of the form name@domain.",),
        ),
        too_many=Told(
            "Too many requests",
            ("Too many subscriptions were asked for in a short time. Please try again in an hour.",),
        ),
        impossible=Told(
            "No subscriptions for now",
            ("This page cannot send messages yet. Its feeds carry the same news.",),
        ),
        later=Told(
            "That did not work",
            ("Your request could not be noted. Please try again in a few minutes.",),
        ),
        confirm=Told(
            "Confirm the subscription",
            (
                "You will get a message at each interruption, incident and maintenance. One click ends it, "
                "whenever you like.",
            ),
            "Yes, send me the news",
        ),
        confirmed=Told(
            "You are subscribed",
            ("The next news will come to you. Each message has a link that ends it.",),
        ),
        stale=Told(
            "This link is no longer valid",
            ("A link to confirm works for 48 hours; then the address is forgotten. Please subscribe again.",),
        ),
        leave=Told(
            "Get no more news",
            ("The subscription ends at once, and the address is erased.",),
            "End the subscription",
        ),
        left=Told(
            "The subscription has ended",
            ("No more messages will be sent to you, and your address is erased.",),
        ),
    ),
}

"""What stands beside the values on the in-home display, in the languages that messages have (paper V-A).

Messages of the contract have their texts in `contracts/texts`; these are the screen's own words.

Left out: languages with plural forms.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gridmonitoring.contracts.consent import Data, Verdict
from gridmonitoring.contracts.meter_rule import MeterState, Status
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.smart_meter.channels import Channel


class Labels(Struct, frozen=True):
    """The words of one language."""

    meter: str
    """Before the meter's number."""
    credit: str
    """Above the credit."""
    debt: str
    """Before the debt."""
    lasts: str
    """How long the credit lasts, {days}."""
    power: str
    """Above the power drawn now."""
    tariff: str
    """Above the tariff."""
    per_kwh: str
    """A price, {price} with its currency."""
    taxed: str
    """Below the price."""
    until: str
    """Until when the price holds, {time}."""
    today: str
    """Above energy and cost of the day."""
    appliances: str
    """Above the appliances."""
    messages: str
    """Above the messages."""
    none_yet: str
    """Where there is no message."""
    why: str
    """Before the reason why there is no power."""
    sealed: str
    """Told of a meter that is tampered with, {what} was found."""
    line_cut: str
    """The line to the grid is cut, {reports} wait."""
    ended: str
    """The recording has ended."""
    accept: str
    """Key: accept that the relay closes."""
    switch: str
    """Key: own supply off or on."""
    help: str
    """Key: help."""
    close: str
    """Key: quit."""
    explained: str
    """The help."""
    nothing_offered: str
    """Accepting where nothing is offered."""
    no_key: str
    """Switching without the consumer's key."""
    ordered: str
    """A wish that went to the grid."""
    access: str
    """Key: who reads."""
    access_title: str
    """Above who may read and who asked, with the {time} of it."""
    no_grants: str
    """Where nobody was let in."""
    grant: str
    """A grant: {number}, {reader}, {data}, {first} and {last} day, {purpose}."""
    in_force: str
    """Until when a grant holds, {time}."""
    revoked: str
    """When a grant was ended, {time}."""
    uses: str
    """How often a grant was relied on: {allowed}, {refused} requests."""
    requests: str
    """Above the last requests, {all} in all."""
    no_requests: str
    """Where nobody asked."""
    myself: str
    """The owner as reader."""
    roles: Mapping[Role, str]
    """What parties are called that read."""
    data: Mapping[Data, str]
    """What the kinds of data are called."""
    verdicts: Mapping[Verdict, str]
    """What requests come to."""
    states: Mapping[MeterState, str]
    """What the states are called."""
    channels: Mapping[Channel, str]
    """What the channels are called."""
    inputs: Mapping[Status, str]
    """What the tamper inputs are called."""


ENGLISH = Labels(
    meter="Meter",
    credit="Credit",
    debt="debt",
    lasts="lasts about {days} days",
    power="Power now",
    tariff="Tariff",
    per_kwh="{price}/kWh",
    taxed="tax included",
    until="until {time}",
    today="Today",
    appliances="Appliances today",
    messages="Messages",
    none_yet="none yet",
    why="No power:",
    sealed="found: {what}",
    line_cut="No line to the grid; {reports} messages wait.",
    ended="The recording has ended.",
    accept="Accept power",
    switch="Supply off/on",
    help="Help",
    close="Quit",
    explained=(
        "This is what the meter itself measures and computes; it also works without a line to the grid.\n\n"
        "a  When the meter offers power again, nothing happens until somebody at home accepts: check first "
        "that no appliance is dangerous when it starts.\n"
        "s  Switches your own supply off or on. It is signed with your key and comes back from the grid as a "
        "command with its proof.\n"
        "d  Shows whom you let in to your data, and every request. This comes from the grid's ledger; that "
        "somebody was let in or asked is also among the messages, by a command with its proof.\n"
        "?  This help.        q  Quit. The meter goes on from here at the next start.\n\n"
        "Costs of appliances are at the price of their time, tax included; what a day costs in all includes "
        "standing charges."
    ),
    nothing_offered="The meter offers no reconnection now.",
    no_key="The key of this meter's consumer is not here.",
    ordered="Signed and sent; the meter follows once the grid has it.",
    access="Who reads",
    access_title="Who may read your data, by the grid's ledger at {time}",
    no_grants="You let nobody in.",
    grant="{number}  {reader}: {data}, {first} to {last}, for: {purpose}",
    in_force="in force until {time}",
    revoked="ended by you {time}",
    uses="{allowed} requests allowed, {refused} refused",
    requests="Requests ({all}), the newest first",
    no_requests="Nobody has asked for your data.",
    myself="you",
    roles={
        Role.CONSUMER: "consumer",
        Role.UTILITY: "utility",
        Role.ENERGY_CENTER: "energy center",
        Role.OPERATOR: "operator",
        Role.AUDITOR: "auditor",
        Role.CUSTODIAN: "custodian",
        Role.RESEARCHER: "researcher",
    },
    data={Data.SETTLEMENTS: "bills", Data.PROFILE: "load profile", Data.APPLIANCES: "appliances"},
    verdicts={
        Verdict.ALLOWED: "allowed",
        Verdict.NOT_GRANTED: "REFUSED: not let in",
        Verdict.ENDED: "REFUSED: the grant has ended",
        Verdict.OTHER_DATA: "REFUSED: other data",
        Verdict.OTHER_DAYS: "REFUSED: other days",
        Verdict.OTHER_PURPOSE: "REFUSED: other purpose",
    },
    states={
        MeterState.NEW: "not installed",
        MeterState.ACTIVE: "in credit",
        MeterState.LOW_CREDIT: "low credit",
        MeterState.OUT_OF_CREDIT: "out of credit",
        MeterState.READY_FOR_RECONNECTION: "ready to reconnect",
        MeterState.SUPPLY_OFF: "switched off",
        MeterState.TAMPERED: "tampered with",
        MeterState.CLOSED: "closed",
        MeterState.CUT_OFF: "cut off",
    },
    channels={
        Channel.KITCHEN: "kitchen",
        Channel.LAUNDRY: "laundry, fridge, light",
        Channel.CLIMATE: "water heater, air cond.",
        Channel.REST: "rest",
    },
    inputs={
        Status.TERMINAL_COVER: "terminal cover open",
        Status.MAGNET: "magnet",
        Status.METER_COVER: "meter cover open",
        Status.WRONG_PASSWORD: "wrong passwords",
    },
)
FRENCH = Labels(
    meter="Compteur",
    credit="Crédit",
    debt="dette",
    lasts="pour {days} jours environ",
    power="Puissance",
    tariff="Tarif",
    per_kwh="{price}/kWh",
    taxed="taxes comprises",
    until="jusqu'à {time}",
    today="Aujourd'hui",
    appliances="Appareils aujourd'hui",
    messages="Messages",
    none_yet="aucun",
    why="Pas de courant :",
    sealed="constaté : {what}",
    line_cut="Pas de liaison avec le réseau ; {reports} messages attendent.",
    ended="L'enregistrement est terminé.",
    accept="Accepter le courant",
    switch="Couper/rétablir",
    help="Aide",
    close="Quitter",
    explained=(
        "Ceci est ce que le compteur mesure et calcule lui-même, même sans liaison avec le réseau.\n\n"
        "a  Quand le compteur propose de rétablir le courant, rien ne se passe avant que quelqu'un accepte : "
        "vérifiez d'abord qu'aucun appareil n'est dangereux en démarrant.\n"
        "s  Coupe ou rétablit votre propre courant. L'ordre est signé de votre clé et revient du réseau avec "
        "sa preuve.\n"
        "d  Montre à qui vous avez donné accès à vos données, et chaque demande. Cela vient du registre du "
        "réseau ; qu'un accès est donné ou une demande faite est aussi un message, avec sa preuve.\n"
        "?  Cette aide.        q  Quitter. Le compteur reprendra ici.\n\n"
        "Le coût des appareils est au prix de l'heure, taxes comprises ; le coût du jour comprend "
        "l'abonnement."
    ),
    nothing_offered="Le compteur ne propose pas de rétablir le courant.",
    no_key="La clé du consommateur de ce compteur n'est pas ici.",
    ordered="Signé et envoyé ; le compteur suit dès que le réseau l'a.",
    access="Qui lit",
    access_title="Qui peut lire vos données, d'après le registre du réseau à {time}",
    no_grants="Vous n'avez donné accès à personne.",
    grant="{number}  {reader} : {data}, du {first} au {last}, pour : {purpose}",
    in_force="en vigueur jusqu'au {time}",
    revoked="vous y avez mis fin le {time}",
    uses="{allowed} demandes admises, {refused} refusées",
    requests="Demandes ({all}), la dernière d'abord",
    no_requests="Personne n'a demandé vos données.",
    myself="vous",
    roles={
        Role.CONSUMER: "consommateur",
        Role.UTILITY: "fournisseur",
        Role.ENERGY_CENTER: "centre d'énergie",
        Role.OPERATOR: "exploitant",
        Role.AUDITOR: "auditeur",
        Role.CUSTODIAN: "dépositaire",
        Role.RESEARCHER: "chercheur",
    },
    data={Data.SETTLEMENTS: "factures", Data.PROFILE: "courbe de charge", Data.APPLIANCES: "appareils"},
    verdicts={
        Verdict.ALLOWED: "admise",
        Verdict.NOT_GRANTED: "REFUSÉE : pas d'accès",
        Verdict.ENDED: "REFUSÉE : l'accès a pris fin",
        Verdict.OTHER_DATA: "REFUSÉE : autres données",
        Verdict.OTHER_DAYS: "REFUSÉE : autres jours",
        Verdict.OTHER_PURPOSE: "REFUSÉE : autre but",
    },
    states={
        MeterState.NEW: "non installé",
        MeterState.ACTIVE: "en service",
        MeterState.LOW_CREDIT: "crédit faible",
        MeterState.OUT_OF_CREDIT: "crédit épuisé",
        MeterState.READY_FOR_RECONNECTION: "prêt à rétablir",
        MeterState.SUPPLY_OFF: "coupé à la demande",
        MeterState.TAMPERED: "manipulé",
        MeterState.CLOSED: "clôturé",
        MeterState.CUT_OFF: "coupé",
    },
    channels={
        Channel.KITCHEN: "cuisine",
        Channel.LAUNDRY: "linge, frigo, lumière",
        Channel.CLIMATE: "chauffe-eau, climat.",
        Channel.REST: "reste",
    },
    inputs={
        Status.TERMINAL_COVER: "cache-bornes ouvert",
        Status.MAGNET: "aimant",
        Status.METER_COVER: "capot ouvert",
        Status.WRONG_PASSWORD: "mots de passe faux",
    },
)
LABELS: Mapping[str, Labels] = {"en": ENGLISH, "fr": FRENCH}
"""Language -> its words."""

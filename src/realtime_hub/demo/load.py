"""What happens in a call centre: calls ring and end, messages come and go, prospects move on.

`CallCentre` decides what happens next from a seed alone: no clock, no database. `run` writes it
at a steady rate. The default is the rate of the deployment that the demo is modelled on:
144,971 changes in three hours.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import md5
from typing import Final, LiteralString, TypeAlias
from uuid import UUID

import psycopg

DEFAULT_RATE: Final = 13.3
"""Changes a second: about 800 a minute."""

PROSPECTS: Final = 400
AGENTS: Final = 12
CONVERSATIONS: Final = 60
COORDINATIONS: Final = 4

_STAGES: Final = ("Nuevo", "Contactado", "Interesado", "Cotizado", "Reservado", "Ganado")
_CHECKPOINTS: Final = ("saludo", "perfil", "destino", "presupuesto", "objeciones", "cierre")
_QUESTIONS: Final = (
    "Hola, ¿tienen lugar en julio?",
    "¿Cuánto cuesta para dos adultos y dos niños?",
    "¿El vuelo está incluido?",
    "¿Puedo apartar con tarjeta?",
    "Lo platico en casa y les aviso",
)
_ANSWERS: Final = (
    "¡Claro! Le comparto opciones",
    "El paquete incluye hotel y traslados",
    "Con gusto le marco para explicarle",
    "Tenemos meses sin intereses",
)
_NAMES: Final = ("Sofía", "Mateo", "Valeria", "Emiliano", "Regina", "Leonardo", "Camila")
_SURNAMES: Final = ("García", "Torres", "Flores", "Rivera", "Gómez")
_ENDINGS: Final = ("venta", "seguimiento", "sin interés", "buzón de voz")

Values: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """One transaction: statements with their values. Each changes one row."""

    statements: tuple[tuple[LiteralString, Values], ...]

    @property
    def changes(self) -> int:
        return len(self.statements)


@dataclass(slots=True)
class _Call:
    call_id: int
    prospect: int
    agent: UUID
    state: str = "en_cola"
    notes: list[str] = field(default_factory=list)
    turns: list[dict[str, str]] = field(default_factory=list)
    seconds: int = 0


def person(kind: str, number: int) -> UUID:
    """The id that schema.sql gives to this user or row."""
    return UUID(md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest())


class CallCentre:
    """An endless, reproducible sequence of writes; the same seed gives the same sequence.

    first_id: ids of new rows start after it, so that a second run does not meet the first one's.
    """

    def __init__(self, seed: int = 1, *, first_id: int = 0, concurrent_calls: int = 14) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a load, not a secret
        self._last_id = first_id
        self._concurrent = concurrent_calls
        self._calls: list[_Call] = []
        self._paused: list[str] = []

    def __iter__(self) -> Iterator[Write]:
        happenings = (
            (self._call, 46),
            (self._message, 34),
            (self._prospect, 11),
            (self._arrival, 1),
            (self._schedule, 3),
            (self._notification, 3),
            (self._bot_pause, 2),
        )
        kinds, weights = zip(*happenings, strict=True)
        while True:
            (happening,) = self._random.choices(kinds, weights)
            yield happening()

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _call(self) -> Write:
        # As many calls as usual, give or take: a new one comes when there is room.
        if len(self._calls) < self._concurrent and self._random.random() < 0.4:
            return self._ring()
        if not self._calls:
            return self._ring()
        call = self._random.choice(self._calls)
        match call.state:
            case "en_cola":
                return self._move(call, "sonando")
            case "sonando" if self._random.random() < 0.15:
                return self._end(call, "fallida", "no contesta", won=False)
            case "sonando":
                return self._move(call, "activa")
        if len(call.notes) >= len(_CHECKPOINTS):
            ending = self._random.choice(_ENDINGS)
            return self._end(call, "finalizada", ending, won=ending == "venta")
        if call.state == "activa" and len(call.notes) == 3 and self._random.random() < 0.25:
            return self._move(call, "transferida")
        return self._note(call)

    def _ring(self) -> Write:
        prospect = self._random.randint(1, PROSPECTS)
        agent = person("agente", 1 + (prospect - 1) % AGENTS)
        call = _Call(self._next_id(), prospect, agent)
        self._calls.append(call)
        return _write(
            "insert into llamadas_ventas (call_id, prospecto_id, agente_id, coordinacion_id, tipo,"
            " control_url, datos) values (%s, %s, %s, %s, %s, %s, %s)",
            call.call_id,
            prospect,
            agent,
            _coordination(prospect),
            self._random.choice(("entrante", "saliente")),
            f"https://voz.example/{call.call_id}",
            json.dumps({"notas": [], "turnos": []}),
        )

    def _move(self, call: _Call, state: str) -> Write:
        call.state = state
        return _write(
            "update llamadas_ventas set estado = %s::estado_llamada, updated_at = now()"
            " where call_id = %s",
            state,
            call.call_id,
        )

    def _note(self, call: _Call) -> Write:
        checkpoint = _CHECKPOINTS[len(call.notes)]
        question, reply = self._random.choice(_QUESTIONS), self._random.choice(_ANSWERS)
        call.notes.append(f"{checkpoint}: {question}")
        call.turns.append({"rol": "prospecto", "texto": question})
        call.turns.append({"rol": "agente", "texto": reply})
        call.seconds += self._random.randint(5, 40)
        return _write(
            "update llamadas_ventas set checkpoint = %s, datos = %s, duracion_s = %s,"
            " probabilidad = %s, updated_at = now() where call_id = %s",
            checkpoint,
            json.dumps({"notas": call.notes, "turnos": call.turns}, ensure_ascii=False),
            call.seconds,
            round(self._random.random(), 2),
            call.call_id,
        )

    def _end(self, call: _Call, state: str, reason: str, *, won: bool) -> Write:
        self._calls.remove(call)
        return _write(
            "update llamadas_ventas set estado = %s::estado_llamada, razon_fin = %s,"
            " es_exitosa = %s, costo = %s, updated_at = now() where call_id = %s",
            state,
            reason,
            won,
            f"{call.seconds * 0.0125:.4f}",
            call.call_id,
        )

    def _message(self) -> Write:
        number = self._random.randint(1, CONVERSATIONS)
        conversation, incoming = person("conversacion", number), self._random.random() < 0.6
        text = self._random.choice(_QUESTIONS if incoming else _ANSWERS)
        sender = None if incoming else person("agente", 1 + (number - 1) % AGENTS)
        message = (
            "insert into mensajes_whatsapp (id, conversacion_id, prospecto_id, coordinacion_id,"
            " rol, direccion, mensaje, enviado_por) values (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                self._next_id(),
                conversation,
                number,
                _coordination(number),
                "prospecto" if incoming else "agente",
                "entrante" if incoming else "saliente",
                text,
                sender,
            ),
        )
        summary = (
            "update conversaciones_whatsapp set ultimo_mensaje = %s,"
            " no_leidos = case when %s then no_leidos + 1 else 0 end, updated_at = now()"
            " where id = %s",
            (text, incoming, conversation),
        )
        return Write((message, summary))

    def _prospect(self) -> Write:
        return _write(
            "update prospectos set etapa = %s, score = %s, requiere_atencion = %s,"
            " updated_at = now() where id = %s",
            self._random.choice(_STAGES),
            self._random.randint(0, 100),
            self._random.random() < 0.2,
            self._random.randint(1, PROSPECTS),
        )

    def _arrival(self) -> Write:
        number = PROSPECTS + self._next_id()
        return _write(
            "insert into prospectos (id, nombre, telefono, etapa, temperamento, coordinacion_id,"
            " ejecutivo_id, score, ciudad, interes, origen, requiere_atencion)"
            " values (%s, %s, %s, 'Nuevo', %s, %s, %s, %s, %s, %s, %s, true)",
            number,
            f"{self._random.choice(_NAMES)} {self._random.choice(_SURNAMES)} {number}",
            f"+52{5_500_000_000 + number}",
            self._random.choice(("analítico", "amable", "directo")),
            _coordination(number),
            person("agente", 1 + (number - 1) % AGENTS),
            self._random.randint(20, 90),
            self._random.choice(("CDMX", "Monterrey", "Guadalajara", "Mérida")),
            json.dumps({"destino": self._random.choice(("Cancún", "Vallarta", "Los Cabos"))}),
            self._random.choice(("whatsapp", "web", "referido")),
        )

    def _schedule(self) -> Write:
        prospect = self._random.randint(1, PROSPECTS)
        return _write(
            "insert into llamadas_programadas (id, prospecto_id, coordinacion_id, programada_para,"
            " estatus, justificacion, creada_por)"
            " values (%s, %s, %s, now() + make_interval(mins => %s), 'pendiente', %s, %s)",
            self._next_id(),
            prospect,
            _coordination(prospect),
            self._random.randint(10, 2_880),
            "Pidió que le marcaran",
            person("agente", 1 + (prospect - 1) % AGENTS),
        )

    def _notification(self) -> Write:
        return _write(
            "insert into user_notifications (id, user_id, tipo, cuerpo) values (%s, %s, %s, %s)",
            self._next_id(),
            person("agente", self._random.randint(1, AGENTS)),
            "prospecto",
            "Un prospecto requiere atención",
        )

    def _bot_pause(self) -> Write:
        if self._paused:
            return _write("delete from bot_pause_status where uchat_id = %s", self._paused.pop())
        uchat_id = f"uchat-{self._next_id()}"
        self._paused.append(uchat_id)
        return _write(
            "insert into bot_pause_status (uchat_id, pausado, pausado_hasta, motivo)"
            " values (%s, true, now() + interval '30 minutes', 'atiende un agente')",
            uchat_id,
        )


async def run(
    dsn: str, *, rate: float = DEFAULT_RATE, seed: int = 1, duration: float | None = None
) -> int:
    """Write `rate` changes a second for `duration` seconds, None for ever; how many there were.

    An open loop: a slow database is not waited for with fewer writes, but what was missed for
    more than a second is not made up for.
    """
    interval, changes = 1 / rate, 0
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await _hang_up(connection)
        centre = CallCentre(seed, first_id=await _last_id(connection))
        due = started = time.monotonic()
        for write in centre:
            now = time.monotonic()
            if duration is not None and now - started >= duration:
                break
            due = max(due, now - 1.0)
            await asyncio.sleep(max(0.0, due - now))
            due += interval * write.changes
            async with connection.transaction():
                for statement, values in write.statements:
                    await connection.execute(statement, values)
            changes += write.changes
    return changes


async def _hang_up(connection: psycopg.AsyncConnection) -> None:
    """End the calls that an earlier run left open: nobody would end them any more."""
    await connection.execute(
        "update llamadas_ventas set estado = 'fallida', razon_fin = 'corte', updated_at = now()"
        " where estado not in ('finalizada', 'fallida')"
    )


async def _last_id(connection: psycopg.AsyncConnection) -> int:
    """Nothing has a greater id; rows of an earlier run are left as they are."""
    cursor = await connection.execute(
        "select greatest((select max(call_id) from llamadas_ventas),"
        " (select max(id) from mensajes_whatsapp), (select max(id) from llamadas_programadas),"
        " (select max(id) from user_notifications),"
        " (select max(id) - 400 from prospectos),"
        " (select max(substr(uchat_id, 7)::bigint) from bot_pause_status))"
    )
    row = await cursor.fetchone()
    return 0 if row is None or row[0] is None else int(row[0])


def _write(statement: LiteralString, *values: object) -> Write:
    return Write(((statement, values),))


def _coordination(prospect: int) -> int:
    return 1 + (prospect - 1) % COORDINATIONS

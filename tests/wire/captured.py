"""Messages of PostgreSQL 18.6's pgoutput, as `pg_logical_slot_get_binary_changes` gave them."""

from __future__ import annotations

from realtime_hub.changes import UNCHANGED, LogicalMessage, ReplicaIdentity
from realtime_hub.wire.pgoutput import (
    Begin,
    Commit,
    Delete,
    Insert,
    LogicalReplicationMessage,
    Origin,
    Relation,
    RelationColumn,
    Truncate,
    Type,
    Update,
)

ORDERS = Relation(
    0x4011,
    "ventas",
    "pedido",
    ReplicaIdentity.DEFAULT,
    (
        RelationColumn("id", 23, -1, True),
        RelationColumn("estado", 0x400D, -1, False),
        RelationColumn("nota", 1043, 24, False),
        RelationColumn("cuerpo", 25, -1, False),
    ),
)
LINES = Relation(
    0x4019,
    "ventas",
    "linea",
    ReplicaIdentity.FULL,
    (RelationColumn("id", 23, -1, True), RelationColumn("v", 25, -1, True)),
)

CAPTURED: dict[str, tuple[str, LogicalReplicationMessage]] = {
    "begin": (
        "420000000001f032a0000303e8480f03af000002fa",
        Begin(0x1F032A0, 0x303E8480F03AF, 0x2FA),
    ),
    "commit": (
        "43000000000001f032a00000000001f032d0000303e8480f03af",
        Commit(0x1F032A0, 0x1F032D0, 0x303E8480F03AF),
    ),
    "type": ("590000400d76656e7461730065737461646f00", Type(0x400D, "ventas", "estado")),
    "relation": (
        "520000401176656e7461730070656469646f006400040169640000000017ffffffff0065737461646f00"
        "0000400dffffffff006e6f74610000000413000000180063756572706f0000000019ffffffff",
        ORDERS,
    ),
    "relation with replica identity full": (
        "520000401976656e746173006c696e6561006600020169640000000017ffffffff01760000000019ffffffff",
        LINES,
    ),
    "insert with a null": ("49000040194e00027400000001336e", Insert(0x4019, (b"3", None))),
    "update that leaves key and TOAST alone": (
        "55000040114e000474000000013174000000056c6973746f6e75",
        Update(0x4011, None, False, (b"1", b"listo", None, UNCHANGED)),
    ),
    "update of the key": (
        "55000040114b00047400000001316e6e6e4e000474000000013274000000056c6973746f7400000002c3b1"
        "7400000000",
        Update(0x4011, (b"1", None, None, None), True, (b"2", b"listo", "ñ".encode(), b"")),
    ),
    "update with the whole old row": (
        "55000040194f00027400000001317400000001614e0002740000000131740000000162",
        Update(0x4019, (b"1", b"a"), False, (b"1", b"b")),
    ),
    "delete with the key": (
        "44000040114b00047400000001326e6e6e",
        Delete(0x4011, (b"2", None, None, None), True),
    ),
    "delete with the whole row": (
        "44000040194f0002740000000131740000000162",
        Delete(0x4019, (b"1", b"b"), False),
    ),
    "truncate cascade restart identity": (
        "5400000002030000401100004019",
        Truncate((0x4011, 0x4019), True, True),
    ),
    "message outside a transaction": (
        "4d000000000001f04d18617669736f00000000056675657261",
        LogicalMessage(0x1F04D18, False, "aviso", b"fuera"),
    ),
    "message inside a transaction": (
        "4d010000000001f04cd8617669736f000000000664656e74726f",
        LogicalMessage(0x1F04CD8, True, "aviso", b"dentro"),
    ),
    "origin": ("4f0000000000000abc6e6f72746500", Origin(0xABC, "norte")),
}

"""PostgreSQL's built-in types, whose OIDs never change (src/include/catalog/pg_type.dat).

With them rows can be read when the catalog is out of reach or the table is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from realtime_hub.changes import PgType, TypeKind, Types

# name:OID:OID of its array type
_TYPES: Final[Mapping[tuple[TypeKind, str], str]] = {
    (TypeKind.BASE, "B"): ("bool:16:1000"),
    (TypeKind.BASE, "U"): (
        "bytea:17:1001 tid:27:1010 xid:28:1011 cid:29:1012 json:114:199 xml:142:143 "
        "macaddr8:774:775 macaddr:829:1040 aclitem:1033:1034 refcursor:1790:2201 uuid:2950:2951 "
        "txid_snapshot:2970:2949 pg_lsn:3220:3221 tsvector:3614:3643 tsquery:3615:3645 "
        "gtsvector:3642:3644 jsonb:3802:3807 jsonpath:4072:4073 pg_snapshot:5038:5039 xid8:5069:271"
    ),
    (TypeKind.BASE, "Z"): ("char:18:1002"),
    (TypeKind.BASE, "S"): ("name:19:1003 text:25:1009 bpchar:1042:1014 varchar:1043:1015"),
    (TypeKind.BASE, "N"): (
        "int8:20:1016 int2:21:1005 int4:23:1007 regproc:24:1008 oid:26:1028 float4:700:1021 "
        "float8:701:1022 money:790:791 numeric:1700:1231 regprocedure:2202:2207 regoper:2203:2208 "
        "regoperator:2204:2209 regclass:2205:2210 regtype:2206:2211 regconfig:3734:3735 "
        "regdictionary:3769:3770 regnamespace:4089:4090 regrole:4096:4097 regcollation:4191:4192"
    ),
    (TypeKind.BASE, "A"): ("int2vector:22:1006 oidvector:30:1013"),
    (TypeKind.BASE, "G"): (
        "point:600:1017 lseg:601:1018 path:602:1019 box:603:1020 polygon:604:1027 line:628:629 "
        "circle:718:719"
    ),
    (TypeKind.BASE, "I"): ("cidr:650:651 inet:869:1041"),
    (TypeKind.BASE, "D"): (
        "date:1082:1182 time:1083:1183 timestamp:1114:1115 timestamptz:1184:1185 timetz:1266:1270"
    ),
    (TypeKind.BASE, "T"): ("interval:1186:1187"),
    (TypeKind.BASE, "V"): ("bit:1560:1561 varbit:1562:1563"),
    (TypeKind.RANGE, "R"): (
        "int4range:3904:3905 numrange:3906:3907 tsrange:3908:3909 tstzrange:3910:3911 "
        "daterange:3912:3913 int8range:3926:3927"
    ),
    (TypeKind.MULTIRANGE, "R"): (
        "int4multirange:4451:6150 nummultirange:4532:6151 tsmultirange:4533:6152 "
        "tstzmultirange:4534:6153 datemultirange:4535:6155 int8multirange:4536:6157"
    ),
}

_DELIMITERS: Final = {"box": ";"}


def _builtin_types() -> Iterator[PgType]:
    for (kind, category), entries in _TYPES.items():
        for entry in entries.split():
            name, oid, array = entry.split(":")
            delimiter = _DELIMITERS.get(name, ",")
            yield PgType(int(oid), name, kind, category=category, delimiter=delimiter)
            yield PgType(
                int(array),
                f"_{name}",
                TypeKind.ARRAY,
                category="A",
                element=int(oid),
                delimiter=delimiter,
            )


BUILTIN_TYPES: Final[Types] = {known.oid: known for known in _builtin_types()}

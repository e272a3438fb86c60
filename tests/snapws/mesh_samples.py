"""Meshes of every kind, with a marker in every place where somebody may have typed a text."""

from __future__ import annotations

import base64
import re
import struct
import zlib

import numpy as np

#: Stands in every place where somebody may have typed a text.
MARKER = b"MARKER"


def real(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))


# Written by VTK 9.7.2: four points, a line, two polygons; scalars with a lookup table, component
# names and an information key, normals, pairs of int16, an array of strings; pedigree ids of the
# cells; a field with a string. All but "Normals" is named MARKER something.
# fmt: off
VTK_5_1 = real(
    "c-"
    "o~?&2H2%5O!Ih;HMY~aYfziQf?GCaVo2h9VMaCo>pczg=o__O5DF&AB`g?o`p9k_9p2rLS0qh#PWFTnQvzN%^SEfD+rWPV"
    "NvFAmN#voD|r8Ij3bhq(gaLl${ZgvL6R8`NJdhcK`i;q$v9+`2M`u{xpYooFnjAAoI53q?bn*7sJ`N#y~kRaBCiaNB@<Z+"
    "Q#dcRG8k=*qdSCl?!P01ITJJm4<=ZKp^YkaxtQBJFDi35#eZ6$5%#4J)X&%%%Vs;T?)B?4?D9O3B83Tjcp6H-"
    "?*9YYBl^)pG(P2g?#gacj%mP75=!SRNa3O8#j<r+Y?)a!2efbJD?49z)$XjPIQ0o9$(CWeP^D_x?kNCsDNjGg^NbvG3Z>S"
    "o%X)6q7fXaA>+IuQ_adLHj3b(nH5Ggr#ZpiUB1lBj4G|XlqSlpraVA2UL?mNUSf;pZeFUrg7P$1glTKBaYLTxA2j0e)^|R"
    "TSYmFZd)tcQS<o<gs94t>k=;lI|EiCorI+<T+=lI|AzuIFflUfzF-"
    "kzm@`%O1%`tMl|jL>uR0=={Z+N7D^nAWz@bZDd>eIp$V!gvt8L73p*J}uN3"
)

VTK_4_2 = real(
    "c-o~>!EV$r5OrCg;I9}7aYfy9FI*_@##>o+>?jFHJ*~{H3(=<QC~<+_`e__{>bLL*Wt?Q$NEN-"
    "{WTY97=h<)Oy@Bt31F`XDQC1c{+omnu7H01vny~DgXW&a;S$ZlI%Pwfl3YPN%QY|lnPZxsA7#5|i)&T^jL)qKt=rU}=6u;"
    "It<@PJR9}sKfOS|<n)j}0H%;2(e##1s{C%1$=8UG@LN}+g;@Uu`l88QcG&uDnxnN~SO@cvO2?fEF4bQN<h<uXu$W18|<oM"
    "oIZMV!N5KIOU%%@XV4rnUj}5bYJ(>z+wpJ)`-YNtTTY+m)$I)AlrhO0Ca7rOSeyN)DBCo9lY%%@=I)34(pN?b&`rpC-"
    "IuU7P1RNwwm5iDC)Q_f1~8tJ-ZtH-"
    "%d0EMbMv3a1c`4KLW(8<2Y5XZo$WGAr8+6QVs9;_L(e!_j{~70Vt73I79C;aZu4a?O>gT3Ea5j?8cJ<oe(IBk7Hp)TYFKM"
    "<}iKn`=609pKz2IQJLiB{>|?v_E|tG_(`x-5}DVoip7z(at%he*hE)w73"
)

VTP = real(
    "c-qZZO=ufO6rOENn<%zp0{JPWFicwzv{+hcC0npEHAzg3oyIt>550ItyCZqYdRFYN73oskL!qbM3OVGEOYS-5-"
    "d;+pdyl2(9EuBt914B2KjW3X+HDR2Er{89@6DU{eeca1t-imvwP8C92cte~lO5L?-"
    "K7B~c)&d0c6pmrmsNs0qktW_p2fU2*|vkgVfVOYQ%>+9qaZzqmVdR$gL;i%(>>~Y%=cX|9|VuS-nKi!>m4a3YbA{JWH&K^"
    ">4wc5>ue5^b<d-tIJAd>XY(GxU(zF(-Cy6`y0?qFVhPBOk2=hI(A_)kJIrqrh`8%|M>J>?+V3-"
    "NF)(twU7vxZO7O*}630+E7lgiJGn2^;c3hhWuz{B4Lt5=KPZ(8mjkawbhniy~K=%t>2_C_ymSrTl3_};d@I#Y2)bk~Yel!"
    "Of1!oQ@;un%EhUH>qIvpF1OT%1G<U_g=sdhQzflyba-"
    "b}<<3EHK+$L`x<&D9zg!9;pGoPty)xZWbuc?iL5@@RJ`@GUmNJO$wq8xicdW~fYreTSM1#EkcXL$Q6@8~EF&&N0I_z!-"
    "{LO=>ZY!2|HgWtDJUo-cKpui&v;<V&wi!b~NzBC}bP;ii^kIH?I)buz_JF!h3bX6EZGpK5MCSDIw%fz6B@x{%sDSDAfkds"
    "Bk1<p-}81m9Y&sjY^lX^oXSxe&anW`IuzU)bXUHVpi{hNd?1w$Ll`<V(>V<~U(1*kP94^BCK-&f0-"
    "(<sN(>R}{sjwHHp+bJ2>`xpb}+(V1HdYO9`$H9<Dn_Wb|f$Rhi<Q{~GUO-&-"
    "JWwpHXS(HHZ@Qx`?Qv}L%IcH{I5A0x+k0BF63PZMDVraC;o1WCOC?hZaTMckU%_Vt)RXx0-"
    "XO835`fPJtSMv*bf>k~Ghcjy=*R|S=libj9NuH!N{HHy8BsZJ0O|n+i3R<#c6(-"
    "_CA^fbVq`zzQ^*F5XzGd8WEx6*_#G{X+TlPRf@SGrY4Tf9r8$SK}c>Z*-"
    "uv`A(vtPEypHhTA`E~C1#B2$M8=;wL7%zIp;fqThJpKcr#aGI|iID-r_1Fk~d+ne3q4N3^jeorKL)y*l#EoTijIKcqW|&3"
    "~gfG#DiQUIAe2|W+YW($Gb)L?Dbo-|#3VQbB@`J=wxLb-`_D;}Zd3@!$qI{3uPxRGPP@liM071Qe@0C(+zw-"
    "@>E#wowXLvSF&_;PY_gq1%XfDxThT&?Y?~0`u%@w&^h2dt}<<BQ2<Imp?Pm!{ON@<oBrQ<<)0bbG7Fv;n>u9e{Gh(4s(O8"
    ")@~r_yf"
)
# fmt: on

POINTS = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1.5)])
SCALARS = np.array([0.5, 0.25, 1, 2])
PAIRS = np.arange(8)


def legacy(encoding: str, *sections: object, version: str = "4.2", title: str = "vtk output"):
    """Write a legacy file: texts as they are, arrays one number to a line or big-endian."""
    lines = [f"# vtk DataFile Version {version}\n{title}\n{encoding}\nDATASET POLYDATA\n".encode()]
    for section in sections:
        if isinstance(section, str):
            lines.append(section.encode() + b"\n")
        elif encoding == "ASCII":
            lines += (f"{number:.9g}\n".encode() for number in np.ravel(section))
        else:
            lines.append(np.asarray(section).tobytes() + b"\n")
    return b"".join(lines)


def f4(*numbers: object) -> np.ndarray:
    return np.array(numbers, ">f4")


def i4(*numbers: object) -> np.ndarray:
    return np.array(numbers, ">i4")


def i8(*numbers: object) -> np.ndarray:
    return np.array(numbers, ">i8")


TRIANGLE = ("POINTS 3 float", f4(0, 0, 0, 1, 0, 0, 0, 1, 0.125), "POLYGONS 1 4", i4(3, 0, 1, 2))
METADATA = (
    "METADATA\nCOMPONENT_NAMES\nMARKER%20x\n\nMARKER%20z\nINFORMATION 2\n"
    "NAME MARKERkey LOCATION MARKERplace\nDATA 2\nMARKER%20one\n\n"
    "NAME MARKERother LOCATION MARKERplace\nDATA 7 MARKER\n"
)


class Vtp:
    """Writes XML files in each of the ways that the format has, and reads what is scrubbed."""

    def __init__(self, form="ascii", order="<", word="u4", packed=False, encoding="raw"):
        self.form, self.order, self.packed, self.encoding = form, order, packed, encoding
        self.word = np.dtype(order + word)
        self.appended = b""
        self.pack = zlib.compress

    def array(self, numbers, name: str, kind: str = "Float32", more: str = "") -> str:
        code = {"Float": "f", "Int": "i", "UInt": "u"}[kind.rstrip("0123456789")]
        values = np.asarray(numbers, f"{self.order}{code}{int(re.sub('[^0-9]', '', kind)) // 8}")
        tag = f'<DataArray type="{kind}" Name="{name}" format="{self.form}" {more}'
        texts = '<InformationKey name="MARKER" location="MARKER">MARKER</InformationKey>'
        if self.form == "ascii":
            text = " ".join(f"{number:.9g}" for number in values.ravel())
            return f"{tag}>\n  {text}<!-- MARKER --><?MARKER?>{texts}\n</DataArray>"
        data = self.encode(values.tobytes())
        if self.form == "binary":
            return f"{tag}>\n {data.decode()} {texts}\n</DataArray>"
        self.appended += b"MARKER"
        tag = f'{tag} offset="{len(self.appended)}"/>'
        self.appended += data
        return tag

    def encode(self, values: bytes) -> bytes:
        if not self.packed:
            parts = [self.words(len(values)) + values]
        else:
            size = 8
            blocks = [values[at : at + size] for at in range(0, len(values), size)]
            packed = [self.pack(block) for block in blocks]
            header = self.words(len(blocks), size, len(values) % size, *map(len, packed))
            parts = [header, b"".join(packed)]
        if self.form == "appended" and self.encoding == "raw":
            return b"".join(parts)
        return b"".join(map(base64.b64encode, parts))

    def words(self, *numbers: int) -> bytes:
        return np.array(numbers, self.word).tobytes()

    def file(self, *pieces: str) -> bytes:
        order = {"<": "LittleEndian", ">": "BigEndian"}[self.order]
        pack = 'compressor="vtkZLibDataCompressor"' if self.packed else ""
        appended = f'<AppendedData encoding="{self.encoding}">\n  _'.encode()
        appended += self.appended + b"MARKER\n</AppendedData>" if self.appended else b">"
        return (
            (
                f'<?xml version="1.0"?><!-- MARKER <AppendedData> --><?MARKER MARKER?>'
                f'<VTKFile type="PolyData" version="1.0" MARKER="MARKER" byte_order="{order}" '
                f'header_type="UInt{self.word.itemsize * 8}" {pack}><MARKER>MARKER</MARKER>'
                f'<PolyData>MARKER<FieldData><Array type="String" Name="MARKER" NumberOfTuples="1">'
                f'77 65 82 75 69 82 0</Array><DataArray type="Float64" Name="MARKER">1</DataArray>'
                f"</FieldData>{''.join(pieces)}</PolyData>"
            ).encode()
            + (appended if self.appended else b"")
            + b"</VTKFile><!-- MARKER -->"
        )

    def piece(self, name="MARKER") -> str:
        ids, two = 'IdType="1"', 'NumberOfComponents="2"'
        three = 'NumberOfComponents="3" RangeMin="-MARKER" ComponentName0="MARKER"'
        return (
            f'<Piece NumberOfPoints="4" NumberOfVerts="0" NumberOfLines="1" NumberOfPolys="2">'
            f'<PointData Scalars="{name}" Normals="Normals" TCoords="MARKER gone" MARKER="MARKER">'
            f"{self.array(SCALARS, name)}{self.array(np.eye(4, 3), 'Normals', 'Float64', three)}"
            f'<Array type="String" Name="MARKER" format="ascii">77 65 82 75 69 82 0</Array>'
            f'<DataArray type="String" Name="MARKER gone" format="ascii">77 0</DataArray>'
            f"{self.array(PAIRS, 'MARKER 2', 'Int16', two)}</PointData>"
            f'<CellData PedigreeIds="{name}">{self.array([7, 8, 9], name, "Int64", ids)}'
            f"</CellData>"
            f"<Points>{self.array(POINTS, 'MARKER', 'Float32', three)}</Points>"
            f"<Lines>{self.array([0, 1, 2], 'connectivity', 'Int64')}"
            f"{self.array([3], 'offsets', 'UInt8')}</Lines>"
            f"<Polys>{self.array([0, 1, 2, 0, 1, 3, 2], 'connectivity', 'Int32')}"
            f"{self.array([3, 7], 'offsets', 'Int32')}</Polys></Piece>"
        )

    def read(self, data: bytes) -> dict[tuple[bytes, bytes], tuple[bytes, list[float]]]:
        """Read what is scrubbed: type and numbers of each array, by section and name."""
        head, _, raw = data.partition(b'<AppendedData encoding="raw">\n_')
        found = {}
        for section, body in re.findall(
            rb"<((?:Point|Cell)Data|Points|Lines|Polys)\b[^>]*>\n(.*?)</\1>", head, re.S
        ):
            for tag, text in re.findall(
                rb"<DataArray ([^>]*?)(?:/>|>\n(.*?)</DataArray>)", body, re.S
            ):
                given = dict(re.findall(rb'(\w+)="([^"]*)"', tag))
                code = given[b"type"].decode().replace("Float", "f").replace("Int", "i")
                code = code.replace("Ui", "u")
                code = code[0] + str(int(code[1:]) // 8)
                if given[b"format"] == b"ascii":
                    numbers = [float(word) for word in text.split()]
                else:
                    numbers = self.unpack(raw[int(given[b"offset"]) :], code)
                found[section, given[b"Name"]] = given[b"type"], numbers
        return found

    def unpack(self, raw: bytes, code: str) -> list[float]:
        words = np.frombuffer(raw[: len(raw) // 8 * 8], self.word)
        if not self.packed:
            values = raw[self.word.itemsize :][: int(words[0])]
        else:
            values, at = b"", (3 + int(words[0])) * self.word.itemsize
            for size in words[3 : 3 + int(words[0])]:
                values += zlib.decompress(raw[at : at + int(size)])
                at += int(size)
        return np.frombuffer(values, self.order + code).tolist()


WAYS = [
    (form, order, word, packed, encoding)
    for form, encoding in (
        ("ascii", ""),
        ("binary", ""),
        ("appended", "raw"),
        ("appended", "base64"),
    )
    for order in "<>"
    for word in ("u4", "u8")
    for packed in (False, True)
]


FACET = """facet normal {0} 0 1.50
 outer loop
  vertex 0 0 0
  vertex 1e-3 0 0
  vertex 0 -1.0E+2 0
 endloop
endfacet
"""


def binary_stl(triangles: int, header: bytes = b"", attribute: bytes = b"\0\0") -> bytes:
    facet = struct.pack("<12f", *range(12))
    return header.ljust(80, b"\0") + struct.pack("<I", triangles) + (facet + attribute) * triangles


def legacy_of_all(encoding: str, version: str) -> bytes:
    """Write a legacy file with every kind of section."""
    number = np.arange(1, 200) / 4
    colors = "u1" if encoding == "BINARY" else ">f4"
    if version < "5":
        cells = ["LINES 1 3", i4(2, 0, 2), "POLYGONS 1 4", i4(3, 0, 1, 2)]
    else:
        cells = ["LINES 2 2\nOFFSETS int", i4(0, 2), "CONNECTIVITY int", i4(0, 2)]
        cells += ["POLYGONS 2 3\nOFFSETS vtktypeint64", i8(0, 3), "CONNECTIVITY int", i4(0, 1, 2)]
    return legacy(
        encoding,
        "FIELD MARKER 1\nMARKER 1 2 double", np.array([1.5, 2], ">f8"),
        "POINTS 3 float", number[:9].astype(">f4"), METADATA,
        *cells,
        "CELL_DATA 2\nGLOBAL_IDS MARKER vtkIdType", i4(54, 54),
        "POINT_DATA 3\nSCALARS MARKER float 2\nLOOKUP_TABLE MARKER", number[:6].astype(">f4"),
        METADATA.replace("z\n", ""), "LOOKUP_TABLE MARKER 2", np.arange(8).astype(colors),
        "SCALARS MARKER_2 int\nLOOKUP_TABLE default", i4(11, 12, 13),
        "COLOR_SCALARS MARKER_3 3", np.arange(9).astype(colors),
        "VECTORS MARKER_4 double", number[:9].astype(">f8"),
        "NORMALS Normals float", number[:9].astype(">f4"),
        "TENSORS MARKER_5 float", number[:27].astype(">f4"),
        "TENSORS6 MARKER_6 float", number[:18].astype(">f4"),
        "TEXTURE_COORDINATES MARKER_7 2 float", number[:6].astype(">f4"),
        "FIELD MARKER 2\nMARKER_8 2 3 vtktypeint64", i8(*range(10, 16)), METADATA,
        "MARKER_9 1 3 int", i4(10, 11, 12),
        "EDGE_FLAGS MARKER_10 int", i4(10, 11, 12),
        version=version,
    )  # fmt: skip


def whole_files() -> dict[str, tuple[str, bytes]]:
    """Return meshes of every kind, each with the extension of its name."""
    vtp = {"-".join(map(str, way)): Vtp(*way) for way in WAYS[::5]}
    solid = b"solid MARKER\n" + FACET.format("1").encode() + b"endsolid MARKER\n"
    return {
        "vtk 4.2, by VTK": (".vtk", VTK_4_2),
        "vtk 5.1, by VTK": (".vtk", VTK_5_1),
        **{
            f"vtk {version} {encoding}": (".vtk", legacy_of_all(encoding, version))
            for version in ("4.2", "5.1")
            for encoding in ("ASCII", "BINARY")
        },
        "vtp, by VTK": (".vtp", VTP),
        **{f"vtp {name}": (".vtp", way.file(way.piece())) for name, way in vtp.items()},
        "stl binary": (".stl", binary_stl(2, MARKER)),
        "stl binary that begins with solid": (".stl", binary_stl(2, b"solid MARKER")),
        "stl text": (".stl", solid),
    }

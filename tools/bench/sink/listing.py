"""The XML that the sink answers with: lists of blobs and of blocks, and errors. Sink process."""

from collections.abc import Iterable, Mapping
from xml.etree.ElementTree import Element, SubElement, tostring

from tools.bench.sink.ledger import Blob

PROPERTIES = ("Last-Modified", "ETag", "Content-Type", "Content-MD5")


def error(code: str) -> bytes:
    root = Element("Error")
    SubElement(root, "Code").text = code
    SubElement(root, "Message").text = code
    return _document(root)


def blobs(container: str, found: Mapping[str, Blob], prefix: str, delimiter: str) -> bytes:
    """All of them on one page, whatever number was asked for."""
    root = Element("EnumerationResults", ContainerName=container)
    SubElement(root, "Prefix").text = prefix
    SubElement(root, "Delimiter").text = delimiter
    listed = SubElement(root, "Blobs")
    folders = set()
    for name, blob in sorted(found.items()):
        if not name.startswith(prefix):
            continue
        if delimiter and delimiter in name[len(prefix) :]:
            folders.add(name[: name.index(delimiter, len(prefix)) + len(delimiter)])
        else:
            _blob(listed, name, blob)
    for folder in sorted(folders):
        SubElement(SubElement(listed, "BlobPrefix"), "Name").text = folder
    SubElement(root, "NextMarker")
    return _document(root)


def blocks(blob: Blob, which: str) -> bytes:
    root = Element("BlockList")
    if which in {"committed", "all"}:
        order = blob.committed.blocks if blob.committed else ()
        _blocks(SubElement(root, "CommittedBlocks"), ((block, blob.sizes[block]) for block in order))
    if which in {"uncommitted", "all"}:
        _blocks(SubElement(root, "UncommittedBlocks"), blob.staged.items())
    return _document(root)


def _blob(parent: Element, name: str, blob: Blob) -> None:
    if blob.committed is None:
        return
    entry = SubElement(parent, "Blob")
    SubElement(entry, "Name").text = name
    properties = SubElement(entry, "Properties")
    for header in PROPERTIES:
        if header in blob.committed.headers:
            SubElement(properties, header.replace("ETag", "Etag")).text = blob.committed.headers[header]
    SubElement(properties, "Content-Length").text = str(blob.committed.size)
    SubElement(properties, "BlobType").text = "BlockBlob"
    metadata = SubElement(entry, "Metadata")
    for header, value in blob.committed.headers.items():
        if header.startswith("x-ms-meta-"):
            SubElement(metadata, header.removeprefix("x-ms-meta-")).text = value


def _blocks(parent: Element, listed: Iterable[tuple[str, int]]) -> None:
    for name, size in listed:
        block = SubElement(parent, "Block")
        SubElement(block, "Name").text = name
        SubElement(block, "Size").text = str(size)


def _document(root: Element) -> bytes:
    answer: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return answer

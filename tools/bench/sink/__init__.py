"""A stand-in for Azure Blob Storage that throws the bytes away: a process of its own, so cheap that it is not what is measured.

It speaks the part of the Blob REST API that uploaders need, ignores who is asking, and keeps of a blob all but its content: name,
size, block ids, Content-MD5 and metadata. It counts every body byte by blob and block, those of broken requests too, so that bytes
sent twice can be told.
"""

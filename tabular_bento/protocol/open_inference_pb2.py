"""The messages of open_inference.proto.

They are made of its compiled form, `open_inference.binpb`, in a descriptor pool of their own, so that they load beside
the stubs of other clients of the protocol and with every version of protobuf that has these messages. `make proto`
compiles it.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FILE = descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name("open_inference.binpb").read_bytes()).file[
    0
]
_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_FILE)

DESCRIPTOR = _POOL.FindFileByName(_FILE.name)

globals().update(
    {name: message_factory.GetMessageClass(message) for name, message in DESCRIPTOR.message_types_by_name.items()}
)

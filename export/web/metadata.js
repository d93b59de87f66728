// What a file says about itself, which onnxruntime-web does not hand on: a dozen lines of protobuf.

const METADATA_PROPS = 14; // of ModelProto in onnx.proto; its entries are { 1: key, 2: value }

// { painting: "...", artist: "...", ... }; {} where the bytes are none of ONNX.
export function metadataOf(bytes) {
  const text = new TextDecoder();
  const entries = fields(bytes).filter(([number]) => number === METADATA_PROPS);
  return Object.fromEntries(
    entries.map(([, entry]) => {
      const { 1: key, 2: value } = Object.fromEntries(fields(entry));
      return [text.decode(key), text.decode(value)];
    }),
  );
}

// [number, bytes] of every field that has a length; the rest is skipped.
function fields(bytes) {
  const found = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (!(byte & 128)) return value; // also at the end, where it is undefined
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag & 7;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind !== 2) return []; // no protobuf
    else {
      const length = varint();
      found.push([tag >>> 3, bytes.subarray(at, (at += length))]);
    }
  }
  return found;
}

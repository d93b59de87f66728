// Reads the metadata of an ONNX file, which onnxruntime-web does not provide: a small protobuf parser.

const METADATA_PROPS = 14; // of ModelProto in onnx.proto; its entries are { 1: key, 2: value }

// { painting: "...", artist: "...", ... }; {} if the bytes are not an ONNX file.
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

// [number, bytes] of every length-delimited field; other fields are skipped.
function fields(bytes) {
  const result = [];
  let position = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[position++];
      value += (byte & 127) * scale;
      if (!(byte & 128)) return value; // also at the end, where byte is undefined
    }
  };
  while (position < bytes.length) {
    const tag = varint();
    const kind = tag & 7;
    if (kind === 0) varint();
    else if (kind === 1) position += 8;
    else if (kind === 5) position += 4;
    else if (kind !== 2) return []; // not protobuf
    else {
      const length = varint();
      result.push([tag >>> 3, bytes.subarray(position, (position += length))]);
    }
  }
  return result;
}

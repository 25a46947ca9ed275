/** The data of a map as its file holds them: numbers and text, packed small, in base64. */
const KINDS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int16: Int16Array, int32: Int32Array };

/** Packed numbers { kind, deflate } as a typed array. */
export async function numbers({ kind, deflate }) {
  const planes = await inflated(deflate);
  const size = KINDS[kind].BYTES_PER_ELEMENT;
  const n = planes.length / size;
  const bytes = new Uint8Array(planes.length);
  // Lowest bytes of all numbers lie first, then the next ones: so they pack smaller.
  for (let plane = 0; plane < size; plane++) {
    for (let i = 0; i < n; i++) bytes[i * size + plane] = planes[plane * n + i];
  }
  return new KINDS[kind](bytes.buffer);
}

/** Packed text as what its JSON says. */
export async function text({ deflate }) {
  return JSON.parse(new TextDecoder().decode(await inflated(deflate)));
}

async function inflated(base64) {
  const coded = atob(base64);
  const bytes = new Uint8Array(coded.length);
  for (let i = 0; i < coded.length; i++) bytes[i] = coded.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

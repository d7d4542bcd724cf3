// Images of a trial: fetched, unpacked and kept for the change to the next case.

const KEPT = 4;

// The layout of the bytes is described in pictures.py.
function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const { panes } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  for (const pane of panes) {
    const size = pane.voxels;
    const low = new Uint8Array(buffer, at, size);
    const high = new Uint8Array(buffer, at + size, size);
    const voxels = new Uint16Array(size);
    for (let n = 0; n < size; n++) voxels[n] = low[n] | (high[n] << 8);
    at += 2 * size;
    pane.voxels = voxels;
    turnTo(pane, pane.planes[0].name);
  }
  return panes;
}

// Let a pane show another of its planes: sizes, places and sides are those of that plane from now on.
export function turnTo(pane, name) {
  const plane = pane.planes.find((one) => one.name === name);
  const { columns, rows, slices, offset, strides, sides, to_lps: toLps } = plane;
  const spacing = [0, 1, 2].map((axis) => Math.hypot(...toLps.map((row) => row[axis])));
  Object.assign(pane, { plane: name, columns, rows, slices, offset, strides, sides, toLps, spacing,
    fromLps: inverse(toLps), sheet: null, drawn: "" });
}

// The inverse of a 3 x 4 affine matrix.
function inverse(m) {
  const [[a, b, c, x], [d, e, f, y], [g, h, i, z]] = m;
  const cofactors = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ];
  const determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0];
  return cofactors.map((row) => {
    const [p, q, r] = row.map((value) => value / determinant);
    return [p, q, r, -(p * x + q * y + r * z)];
  });
}

export function moved(matrix, [x, y, z]) {
  return matrix.map(([a, b, c, d]) => a * x + b * y + c * z + d);
}

export class Pictures {
  constructor(server) {
    this.server = server;
    this.kept = new Map();
  }

  // The panes of the images at an address. A fetch that failed is not remembered.
  get(address) {
    const known = this.kept.get(address);
    const promise = known || this.server.images(address).then(unpacked);
    this.kept.delete(address);
    this.kept.set(address, promise);
    promise.then(() => { promise.ready = true; }, () => { if (this.kept.get(address) === promise) this.kept.delete(address); });
    while (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
    return promise;
  }

  forget() {
    this.kept.clear();
  }
}

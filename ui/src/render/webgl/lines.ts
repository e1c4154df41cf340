// Edges and their heads on the graphics card: the curves that Canvas 2D strokes, as ribbons.

import { arrowHead, arrowSize, EDGE_DASH_PX, type Stroke } from '../paint-edges';
import type { Frame } from '../renderer';
import { attributes, FloatBuffer, makeProgram, rgb, type Gl, type Program } from './program';

const PIECES = 24;
// Both ends and what bends it; width, dashed; colour and opacity.
const CURVE = [4, 2, 2, 4];
const CURVE_FLOATS = 12;
const CORNER = [2, 4];

const SIZED = `
uniform vec2 size;
vec4 onScreen(vec2 px) { return vec4(px / size * vec2(2., -2.) + vec2(-1., 1.), 0., 1.); }
`;

// Half a pixel more on each side, over which the rim is softened.
const CURVE_VERTEX = `
layout(location=0) in vec4 ends;
layout(location=1) in vec2 bend;
layout(location=2) in vec2 line;
layout(location=3) in vec4 color;
${SIZED}
out vec4 tone;
out float aside;
out float way;
out vec2 traits;
vec2 at(float t) { float u = 1. - t; return u*u*ends.xy + 2.*u*t*bend + t*t*ends.zw; }
void main() {
  int piece = gl_VertexID / 2;
  float t = float(piece) / ${PIECES}.;
  way = 0.;
  if (line.y > .5) for (int i = 0; i < piece; i++) way += distance(at(float(i) / ${PIECES}.), at(float(i + 1) / ${PIECES}.));
  vec2 along = 2. * mix(bend - ends.xy, ends.zw - bend, t);
  vec2 normal = length(along) > 0. ? normalize(vec2(along.y, -along.x)) : vec2(0.);
  aside = (gl_VertexID % 2 == 0 ? 1. : -1.) * (line.x * .5 + .5);
  tone = color;
  traits = line;
  gl_Position = onScreen(at(t) + normal * aside);
}`;

const CURVE_FRAGMENT = `
in vec4 tone;
in float aside;
in float way;
in vec2 traits;
out vec4 drawn;
void main() {
  if (traits.y > .5 && mod(way, ${EDGE_DASH_PX[0]! + EDGE_DASH_PX[1]!}.) > ${EDGE_DASH_PX[0]}.) discard;
  float a = tone.a * clamp(traits.x * .5 + .5 - abs(aside), 0., 1.);
  drawn = vec4(tone.rgb * a, a);
}`;

const FLAT_VERTEX = `
layout(location=0) in vec2 px;
layout(location=1) in vec4 color;
${SIZED}
out vec4 tone;
void main() { tone = color; gl_Position = onScreen(px); }`;

const FLAT_FRAGMENT = `
in vec4 tone;
out vec4 drawn;
void main() { drawn = vec4(tone.rgb * tone.a, tone.a); }`;

export class LineLayer {
  private readonly curves: Program;
  private readonly flat: Program;
  private readonly curveBuffer: FloatBuffer;
  private readonly headBuffer: FloatBuffer;

  constructor(private readonly gl: Gl) {
    this.curves = makeProgram(gl, CURVE_VERTEX, CURVE_FRAGMENT);
    this.flat = makeProgram(gl, FLAT_VERTEX, FLAT_FRAGMENT);
    this.curveBuffer = new FloatBuffer(gl, gl.STREAM_DRAW);
    this.headBuffer = new FloatBuffer(gl, gl.STREAM_DRAW);
  }

  drawCurves({ viewport }: Frame, strokes: readonly Stroke[]): void {
    const { gl, curves } = this;
    const values = new Float32Array(strokes.reduce((sum, stroke) => sum + stroke.curves.length, 0) * CURVE_FLOATS);
    let at = 0;
    for (const stroke of strokes) {
      const color = rgb(stroke.color);
      for (const { x1, y1, x2, y2, cx, cy } of stroke.curves) {
        values.set([x1, y1, x2, y2, cx, cy, stroke.width, Number(stroke.dash), ...color, stroke.alpha], at);
        at += CURVE_FLOATS;
      }
    }
    if (at === 0) return;
    this.curveBuffer.fill(values);
    gl.useProgram(curves.program);
    gl.uniform2f(curves.uniform('size'), viewport.width, viewport.height);
    attributes(gl, this.curveBuffer.buffer, CURVE, 0, 1);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 2 * (PIECES + 1), at / CURVE_FLOATS);
  }

  // The line below would shine through a translucent head: each lies on the ground's colour.
  drawHeads({ viewport, palette }: Frame, strokes: readonly Stroke[]): void {
    const values: number[] = [];
    const ground = rgb(palette.background);
    for (const stroke of strokes) {
      const heads = stroke.curves.flatMap((curve) => arrowHead(curve, arrowSize(stroke)) ?? []);
      const triangles = (color: readonly number[], alpha: number) => {
        for (let i = 0; i < heads.length; i += 2) values.push(heads[i]!, heads[i + 1]!, ...color, alpha);
      };
      triangles(ground, 1);
      triangles(rgb(stroke.color), stroke.alpha);
    }
    if (values.length === 0) return;
    const { gl, flat } = this;
    this.headBuffer.fill(Float32Array.from(values));
    gl.useProgram(flat.program);
    gl.uniform2f(flat.uniform('size'), viewport.width, viewport.height);
    attributes(gl, this.headBuffer.buffer, CORNER);
    for (const location of [2, 3, 4, 5]) gl.disableVertexAttribArray(location);
    gl.drawArrays(gl.TRIANGLES, 0, values.length / 6);
  }
}

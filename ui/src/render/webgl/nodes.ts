// Nodes on the graphics card: one instance each, placed and scaled there, so that moving the map sends
// nothing.

import { HealthCode, NodeFlag, Shape } from '../../scene/scene';
import { radiusScale } from '../geometry';
import { surfaceOf } from '../outline';
import type { Frame } from '../renderer';
import { DASH_PX, dotAlpha, dotRank, dotScale, LIQUID, opacity, ringColor, TINT } from '../style';
import { makeMeshes, VERTEX, type Mesh } from './meshes';
import { attributes, FloatBuffer, makeProgram, rgb, type Gl, type Program } from './program';

// Place, radius and level; colour and opacity; unwell, dashed, size and opacity of its dot.
const INSTANCE = [4, 4, 4];
const FLOATS = 12;
const SHAPES = Object.values(Shape);
const RADIUS_MIN_PX = 1.6;

const PLACED = `
layout(location=3) in vec4 place;
layout(location=4) in vec4 color;
layout(location=5) in vec4 look;
uniform vec3 view;
uniform vec2 size;
uniform float scale;
uniform float least;
vec4 onScreen(vec2 px) { return vec4(px / size * vec2(2., -2.) + vec2(-1., 1.), 0., 1.); }
float radius() { return max(least, max(${RADIUS_MIN_PX}, place.z * scale)); }
vec2 centre() { return place.xy * view.x + view.yz; }
`;

const SHAPE_VERTEX = `
layout(location=0) in vec2 corner;
layout(location=1) in vec2 outward;
layout(location=2) in float along;
${PLACED}
uniform bool ring;
out vec4 tone;
out vec2 height;
out vec2 traits;
out float way;
void main() {
  float r = radius();
  vec2 px = centre() + corner * r;
  if (ring) px += outward * (r > 8. ? 1. : .7);
  tone = color;
  height = vec2(corner.y, place.w);
  traits = look.xy;
  way = along * r;
  gl_Position = onScreen(px);
}`;

const SHAPE_FRAGMENT = `
in vec4 tone;
in vec2 height;
in vec2 traits;
in float way;
uniform bool ring;
uniform vec3 ground;
out vec4 drawn;
void main() {
  vec3 c = tone.rgb;
  if (ring) {
    if (traits.y > .5 && mod(way, ${DASH_PX[0]! + DASH_PX[1]!}.) > ${DASH_PX[0]}.) discard;
  } else {
    c = mix(ground, tone.rgb, traits.x > .5 ? ${TINT} : 0.);
    if (height.x >= height.y) c = mix(c, tone.rgb, ${LIQUID});
  }
  drawn = vec4(c * tone.a, tone.a);
}`;

const DOT_VERTEX = `
${PLACED}
uniform float ratio;
out vec4 tone;
out float reach;
void main() {
  reach = radius() * look.z;
  tone = vec4(color.rgb, look.w);
  gl_Position = onScreen(centre());
  gl_PointSize = (2. * reach + 1.) * ratio;
}`;

// A square while it is small, as in Canvas 2D; the rim is softened over one pixel.
const DOT_FRAGMENT = `
in vec4 tone;
in float reach;
uniform float ratio;
out vec4 drawn;
void main() {
  vec2 from = abs(gl_PointCoord - .5) * (2. * reach + 1.);
  float out_ = (reach < 2.2 ? max(from.x, from.y) : length(from)) - reach;
  float a = tone.a * clamp(.5 - out_ * ratio, 0., 1.);
  if (a <= 0.) discard;
  drawn = vec4(tone.rgb * a, a);
}`;

// Instances in one buffer, those of a shape side by side.
interface Batch {
  buffer: FloatBuffer;
  // First and number of the nodes of each shape.
  ranges: Map<Shape, [number, number]>;
  count: number;
}

export class NodeLayer {
  private readonly shapes: Program;
  private readonly dots: Program;
  private readonly vertices: FloatBuffer;
  private readonly meshes: Record<Shape, Mesh>;
  private readonly all: Batch;
  private readonly ranked: Batch;
  private readonly few: Batch;
  private stale = true;

  constructor(private readonly gl: Gl) {
    this.shapes = makeProgram(gl, SHAPE_VERTEX, SHAPE_FRAGMENT);
    this.dots = makeProgram(gl, DOT_VERTEX, DOT_FRAGMENT);
    const { vertices, meshes } = makeMeshes();
    this.meshes = meshes;
    this.vertices = new FloatBuffer(gl, gl.STATIC_DRAW);
    this.vertices.fill(vertices);
    const batch = (): Batch => ({ buffer: new FloatBuffer(gl, gl.DYNAMIC_DRAW), ranges: new Map(), count: 0 });
    [this.all, this.ranked, this.few] = [batch(), batch(), batch()];
  }

  // The nodes have changed, or how they look.
  invalidate(): void {
    this.stale = true;
  }

  drawShapes(frame: Frame): void {
    this.refresh(frame);
    this.drawBatch(frame, this.all, 0);
  }

  drawDots(frame: Frame, pixelRatio: number): void {
    this.refresh(frame);
    const { gl, dots, ranked } = this;
    gl.useProgram(dots.program);
    this.setView(frame, dots, 0);
    gl.uniform1f(dots.uniform('ratio'), pixelRatio);
    for (const location of [0, 1, 2]) gl.disableVertexAttribArray(location);
    attributes(gl, ranked.buffer.buffer, INSTANCE, 3, 0);
    gl.drawArrays(gl.POINTS, 0, ranked.count);
  }

  // A few as shapes of a least radius.
  drawFew(frame: Frame, nodes: readonly number[], radiusMin: number): void {
    if (nodes.length === 0) return;
    fill(this.few, frame, nodes);
    this.drawBatch(frame, this.few, radiusMin);
  }

  private refresh(frame: Frame): void {
    if (!this.stale) return;
    this.stale = false;
    const { health } = frame.scene;
    const nodes = Array.from(frame.scene.ids.keys());
    fill(this.all, frame, nodes);
    const ranks = nodes.map((node) => dotRank(health[node]!));
    fill(this.ranked, frame, nodes.sort((a, b) => ranks[a]! - ranks[b]!), false);
  }

  private drawBatch(frame: Frame, { buffer, ranges }: Batch, radiusMin: number): void {
    const { gl, shapes } = this;
    gl.useProgram(shapes.program);
    this.setView(frame, shapes, radiusMin);
    gl.uniform3f(shapes.uniform('ground'), ...rgb(frame.palette.surface));
    attributes(gl, this.vertices.buffer, VERTEX);
    for (const shape of SHAPES) {
      const [first, count] = ranges.get(shape) ?? [0, 0];
      if (count === 0) continue;
      const mesh = this.meshes[shape];
      attributes(gl, buffer.buffer, INSTANCE, 3, 1, first * FLOATS);
      gl.uniform1i(shapes.uniform('ring'), 0);
      gl.drawArraysInstanced(gl.TRIANGLES, mesh.fillFirst, mesh.fillCount, count);
      gl.uniform1i(shapes.uniform('ring'), 1);
      gl.drawArraysInstanced(gl.TRIANGLES, mesh.ringFirst, mesh.ringCount, count);
    }
  }

  private setView({ viewport }: Frame, { uniform }: Program, radiusMin: number): void {
    const { gl } = this;
    gl.uniform3f(uniform('view'), viewport.k, viewport.x, viewport.y);
    gl.uniform2f(uniform('size'), viewport.width, viewport.height);
    gl.uniform1f(uniform('scale'), radiusScale(viewport.k));
    gl.uniform1f(uniform('least'), radiusMin);
  }
}

function fill(batch: Batch, frame: Frame, nodes: readonly number[], byShape = true): void {
  const { shape } = frame.scene;
  const order = byShape ? SHAPES.flatMap((one) => nodes.filter((node) => shape[node] === one)) : nodes;
  batch.ranges.clear();
  const values = new Float32Array(order.length * FLOATS);
  order.forEach((node, i) => {
    const range = batch.ranges.get(shape[node] as Shape);
    if (range) range[1] += 1;
    else batch.ranges.set(shape[node] as Shape, [i, 1]);
    write(values, i * FLOATS, frame, node);
  });
  batch.count = order.length;
  batch.buffer.fill(values);
}

function write(values: Float32Array, at: number, frame: Frame, node: number): void {
  const { scene } = frame;
  const flags = scene.flags[node]!;
  const shape = scene.shape[node] as Shape;
  const health = scene.health[node]!;
  const level = scene.fill[node]!;
  // Below everything: empty.
  const surface = level > 0.01 && (flags & NodeFlag.Ended) === 0 ? surfaceOf(shape, level) : 9;
  const sick = health === HealthCode.Critical || health === HealthCode.Warning;
  const dashed = (flags & (NodeFlag.Ended | NodeFlag.Pseudo)) !== 0 && shape !== Shape.Cloud;
  values.set([scene.x[node]!, scene.y[node]!, scene.radius[node]!, surface], at);
  values.set([...rgb(ringColor(frame, node)), opacity(frame, node)], at + 4);
  values.set([Number(sick), Number(dashed), dotScale(dotRank(health)), dotAlpha(frame, node)], at + 8);
}

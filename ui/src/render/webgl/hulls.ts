// The grounds of groups on the graphics card: in the world's units, so that moving the map sends nothing.

import type { Group } from '../../scene/scene';
import { hullAlpha } from '../paint-groups';
import type { Frame } from '../renderer';
import { mitre } from './meshes';
import { attributes, FloatBuffer, makeProgram, rgb, type Gl, type Program } from './program';

// A point of the world, and how far from it in half widths of the line.
const VERTEX = [2, 2];
const ARC_STEP = Math.PI / 16;

const HULL_VERTEX = `
layout(location=0) in vec2 point;
layout(location=1) in vec2 outward;
uniform vec3 view;
uniform vec2 size;
void main() {
  vec2 px = point * view.x + view.yz + outward * .5;
  gl_Position = vec4(px / size * vec2(2., -2.) + vec2(-1., 1.), 0., 1.);
}`;

const HULL_FRAGMENT = `
uniform vec4 color;
out vec4 drawn;
void main() { drawn = vec4(color.rgb * color.a, color.a); }`;

export class HullLayer {
  private readonly program: Program;
  private readonly grounds: FloatBuffer;
  private readonly borders: FloatBuffer;
  private groundCount = 0;
  private borderCount = 0;
  private groups: readonly Group[] | null = null;

  constructor(private readonly gl: Gl) {
    this.program = makeProgram(gl, HULL_VERTEX, HULL_FRAGMENT);
    this.grounds = new FloatBuffer(gl, gl.DYNAMIC_DRAW);
    this.borders = new FloatBuffer(gl, gl.DYNAMIC_DRAW);
  }

  draw({ scene, viewport, palette }: Frame): void {
    if (this.groups !== scene.groups) this.refresh(scene.groups);
    const { gl, program } = this;
    gl.useProgram(program.program);
    gl.uniform3f(program.uniform('view'), viewport.k, viewport.x, viewport.y);
    gl.uniform2f(program.uniform('size'), viewport.width, viewport.height);
    for (const location of [2, 3, 4, 5]) gl.disableVertexAttribArray(location);
    attributes(gl, this.grounds.buffer, VERTEX);
    gl.uniform4f(program.uniform('color'), ...rgb(palette.surface), hullAlpha(palette));
    gl.drawArrays(gl.TRIANGLES, 0, this.groundCount);
    attributes(gl, this.borders.buffer, VERTEX);
    gl.uniform4f(program.uniform('color'), ...rgb(palette.line), 1);
    gl.drawArrays(gl.TRIANGLES, 0, this.borderCount);
  }

  private refresh(groups: readonly Group[]): void {
    this.groups = groups;
    const grounds: number[] = [];
    const borders: number[] = [];
    for (const group of groups) {
      const line = borderOf(group);
      line.forEach(([x, y], i) => {
        const [nx, ny] = line[(i + 1) % line.length]!;
        grounds.push(group.x, group.y, 0, 0, x, y, 0, 0, nx, ny, 0, 0);
        const point = (at: number) => line[(at + line.length) % line.length]!;
        const [ax, ay] = mitre(point(i - 1), [x, y], [nx, ny]);
        const [bx, by] = mitre([x, y], [nx, ny], point(i + 2));
        borders.push(x, y, ax, ay, x, y, -ax, -ay, nx, ny, bx, by);
        borders.push(nx, ny, bx, by, x, y, -ax, -ay, nx, ny, -bx, -by);
      });
    }
    this.grounds.fill(Float32Array.from(grounds));
    this.borders.fill(Float32Array.from(borders));
    this.groundCount = grounds.length / 4;
    this.borderCount = borders.length / 4;
  }
}

// An arc around each corner of the hull, lines between.
export function borderOf({ hull, padding }: Pick<Group, 'hull' | 'padding'>): [number, number][] {
  const corners = hull.length / 2;
  const x = (i: number) => hull[2 * (i % corners)]!;
  const y = (i: number) => hull[2 * (i % corners) + 1]!;
  const line: [number, number][] = [];
  for (let i = 0; i < corners; i += 1) {
    const alone = corners === 1;
    const before = alone ? 0 : Math.atan2(y(i) - y(i + corners - 1), x(i) - x(i + corners - 1)) - Math.PI / 2;
    const after = alone ? 0 : Math.atan2(y(i + 1) - y(i), x(i + 1) - x(i)) - Math.PI / 2;
    const turn = alone ? 2 * Math.PI : (after - before + 4 * Math.PI) % (2 * Math.PI);
    const steps = Math.max(1, Math.ceil(turn / ARC_STEP));
    // A circle ends where it begins; an arc does not.
    for (let step = 0; step < steps + (alone ? 0 : 1); step += 1) {
      const angle = before + (turn * step) / steps;
      line.push([x(i) + padding * Math.cos(angle), y(i) + padding * Math.sin(angle)]);
    }
  }
  return line;
}

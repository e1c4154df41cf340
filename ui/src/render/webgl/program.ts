// Programs, buffers and vertex arrays of WebGL2, with the checks that it leaves to the caller.

export type Gl = WebGL2RenderingContext;

export interface Program {
  program: WebGLProgram;
  uniform(name: string): WebGLUniformLocation | null;
}

export function makeProgram(gl: Gl, vertex: string, fragment: string): Program {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
    const shader = gl.createShader(kind);
    // Null once the context is lost.
    if (!shader) throw new Error('The graphics context is lost.');
    gl.shaderSource(shader, `#version 300 es\nprecision highp float;\n${source}`);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
      throw new Error(`A shader does not compile: ${gl.getShaderInfoLog(shader)}`);
    }
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error(`A shader program does not link: ${gl.getProgramInfoLog(program)}`);
  }
  const locations = new Map<string, WebGLUniformLocation | null>();
  const uniform = (name: string) => {
    if (!locations.has(name)) locations.set(name, gl.getUniformLocation(program, name));
    return locations.get(name)!;
  };
  return { program, uniform };
}

// Floats for the graphics card, grown as needed.
export class FloatBuffer {
  readonly buffer: WebGLBuffer;
  private bytes = 0;

  constructor(
    private readonly gl: Gl,
    private readonly usage: number,
  ) {
    this.buffer = gl.createBuffer();
  }

  fill(values: Float32Array): void {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    if (values.byteLength > this.bytes) {
      this.bytes = values.byteLength;
      gl.bufferData(gl.ARRAY_BUFFER, values, this.usage);
    } else gl.bufferSubData(gl.ARRAY_BUFFER, 0, values);
  }
}

// Lays attributes of the given numbers of floats side by side, from location `first` on. `offset` is that
// of the first vertex or instance in floats; `divisor` 1: once per instance.
export function attributes(
  gl: Gl,
  buffer: WebGLBuffer,
  sizes: readonly number[],
  first = 0,
  divisor = 0,
  offset = 0,
): void {
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  const stride = sizes.reduce((sum, size) => sum + size, 0) * 4;
  let at = offset * 4;
  sizes.forEach((size, i) => {
    gl.enableVertexAttribArray(first + i);
    gl.vertexAttribPointer(first + i, size, gl.FLOAT, false, stride, at);
    gl.vertexAttribDivisor(first + i, divisor);
    at += size * 4;
  });
}

// "#RRGGBB" as shares of one.
export function rgb(hex: string): [number, number, number] {
  const value = Number.parseInt(hex.slice(1), 16);
  return [(value >> 16) / 255, ((value >> 8) & 255) / 255, (value & 255) / 255];
}

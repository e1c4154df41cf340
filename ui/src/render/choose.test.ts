import { describe, expect, it } from 'vitest';
import { rendererFor } from './choose';

describe('the back end', () => {
  it('is WebGL2 on a real graphics card only', () => {
    for (const card of ['ANGLE (NVIDIA, NVIDIA GeForce RTX 3060 Direct3D11)', 'Mali-G78', 'Apple M2', 'Mesa Intel(R) UHD Graphics 620']) {
      expect(rendererFor('', card)).toBe('webgl2');
    }
    for (const card of [
      'ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero) (0x0000C0DE)), SwiftShader driver)',
      'llvmpipe (LLVM 15.0.6, 256 bits)',
      'ANGLE (Microsoft, Microsoft Basic Render Driver Direct3D11)',
      'Microsoft WARP',
      null,
    ]) {
      expect(rendererFor('', card)).toBe('canvas2d');
    }
  });

  it('is what the address asks for', () => {
    expect(rendererFor('?renderer=webgl2', null)).toBe('webgl2');
    expect(rendererFor('?renderer=canvas2d', 'Apple M2')).toBe('canvas2d');
    expect(rendererFor('?renderer=nonsense', null)).toBe('canvas2d');
  });
});

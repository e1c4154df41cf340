// What is used of svgcanvas, which has no types of its own.
declare module 'svgcanvas' {
  export class Context {
    constructor(width: number, height: number);
    // With `fixNamedEntities`, as XML that every reader knows.
    getSerializedSvg(fixNamedEntities?: boolean): string;
  }
}

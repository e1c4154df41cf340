// Below this width things lie over each other instead of side by side.
export const NARROW_PX = 720;

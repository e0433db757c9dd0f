package smelt.calibrate.math;

public record AttentionShape(int heads, int kvHeads, int qkDim, int vDim, float scale) {}

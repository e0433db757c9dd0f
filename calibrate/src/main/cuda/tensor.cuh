// The operations of tensor cores, and of numbers in pairs.
#pragma once

#include "numbers.cuh"

#ifdef __CUDACC__

// Loads four 8 x 8 matrices of 16-bit numbers. Lane i gives the address of row i % 8 of matrix i / 8,
// and gets of each matrix numbers 2 (i % 4) and 2 (i % 4) + 1 of row i / 4.
static __device__ __forceinline__ void loadMatrices(uint32_t (&out)[4], const uint16_t* row) {
  uint32_t address = (uint32_t)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

// sum += a * b: a is 16 x 16, b 16 x 8, both BF16; the sums are F32. With g = lane / 4 and t = lane % 4
// a lane has of a the numbers 2 t and 2 t + 1 of rows g and g + 8, then 2 t + 8 and 2 t + 9 of them; of
// b rows 2 t and 2 t + 1, then 2 t + 8 and 2 t + 9 of column g; of the sum columns 2 t and 2 t + 1 of rows g
// and g + 8.
static __device__ __forceinline__ void multiplyAdd(
    float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// a * b + c for two BF16 at once, rounded once; subnormals are kept.
static __device__ __forceinline__ uint32_t fusedPair(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t out;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(c));
  return out;
}

#endif

// Two codes, in bytes 0 and 2, as two BF16 without their scale, exactly.
template <int TYPE> static __device__ __forceinline__ uint32_t pair(uint32_t codes) {
  if (TYPE == E4M3) {
    // Where BF16 has exponent and fraction they are the number times 2^-120.
    uint32_t bits = ((codes & 0x007F007Fu) << 4) | ((codes & 0x00800080u) << 8);
    return fusedPair(bits, 0x7B807B80u, 0x80008000u);
  }
  // 128 plus the lower 7 bits, less 128, or 256 if the sign bit is set.
  uint32_t bits = 0x43004300u | (codes & 0x007F007Fu);
  return fusedPair(bits, 0x3F803F80u, 0xC300C300u | (codes & 0x00800080u));
}

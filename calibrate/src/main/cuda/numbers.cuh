// What codes mean, and which code a number gets: the twin of smelt.formats.codec.Scalars.
//
// Every operation here is rounded once and in the order that is written (-fmad=false, no fast math;
// sums of products that shall be fused say __fmaf_rn). Subnormals are kept.
#pragma once

#include <stdint.h>

// How numbers are stored. CodeType.java has the same order.
enum Type { BF16, F16, F32, E4M3, E5M2, INT8 };

#define SIGN 0x80000000u
#define MAGNITUDE 0x7FFFFFFFu
#define INFINITE 0x7F800000u
#define INFINITE_AS_BF16 0x7F7F8000u
#define QUIET_NAN 0x7FC00000u

template <int TYPE> struct Stored { typedef uint8_t type; };
template <> struct Stored<BF16> { typedef uint16_t type; };
template <> struct Stored<F16> { typedef uint16_t type; };
template <> struct Stored<F32> { typedef uint32_t type; };

// Whether codes of a type have a decode scale.
template <int TYPE> struct Scaled { static const bool value = TYPE >= E4M3; };

static __device__ __forceinline__ float decodeBf16(uint32_t code) {
  return __uint_as_float(code << 16);
}

// The 15 bits of exponent and fraction, moved to where F32 has them, are the number times 2^-112.
static __device__ __forceinline__ float decodeF16(uint32_t code) {
  uint32_t sign = (code & 0x8000u) << 16;
  uint32_t bits = (code & 0x7FFFu) << 13;
  if (bits >= 0x0F800000u) {
    uint32_t fraction = bits & 0x007FFFFFu;
    return __uint_as_float(sign | (fraction == 0 ? INFINITE : QUIET_NAN | fraction));
  }
  return __uint_as_float(sign | __float_as_uint(__fmul_rn(__uint_as_float(bits), 0x1p112f)));
}

// As decodeF16: the number times 2^-120, and back, both exact; then one product with the scale.
static __device__ __forceinline__ float decodeE4m3(uint32_t code, float scale) {
  uint32_t sign = (code & 0x80u) << 24;
  if ((code & 0x7Fu) == 0x7Fu) {
    return __uint_as_float(sign | QUIET_NAN);
  }
  float magnitude = __fmul_rn(__uint_as_float((code & 0x7Fu) << 20), 0x1p120f);
  return __uint_as_float(sign | __float_as_uint(__fmul_rn(magnitude, scale)));
}

static __device__ __forceinline__ float decodeE5m2(uint32_t code, float scale) {
  if ((code & 0x7Fu) > 0x7Cu) {
    return __uint_as_float(((code & 0x80u) << 24) | QUIET_NAN);
  }
  return __fmul_rn(decodeF16(code << 8), scale);
}

static __device__ __forceinline__ float decodeInt8(uint32_t code, float scale) {
  return __fmul_rn(__int2float_rn((int)(int8_t)code), scale);
}

template <int TYPE> static __device__ __forceinline__ float decode(uint32_t code, float scale) {
  switch (TYPE) {
    case BF16:
      return decodeBf16(code);
    case F16:
      return decodeF16(code);
    case F32:
      return __uint_as_float(code);
    case E4M3:
      return decodeE4m3(code, scale);
    case E5M2:
      return decodeE5m2(code, scale);
    default:
      return decodeInt8(code, scale);
  }
}

static __device__ __forceinline__ uint32_t encodeBf16(float x) {
  uint32_t bits = __float_as_uint(x);
  if ((bits & MAGNITUDE) > INFINITE) {
    return ((bits & SIGN) | QUIET_NAN) >> 16;
  }
  return (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
}

// A scale, with what makes dividing by it cheap.
struct Divisor {
  float scale;
  float reciprocal;
};

static __device__ __forceinline__ Divisor divisor(float scale) {
  Divisor d;
  d.scale = scale;
  d.reciprocal = __frcp_rn(scale);
  return d;
}

// |x| / scale, rounded once, half to even. The scale is from 2^-126 to 2^122.
//
// With the correctly rounded reciprocal y, q = RN(x y) corrected by its remainder is within one unit
// of the quotient, and corrected again is the rounded quotient (Markstein, 1990). The remainders are
// exact unless they are subnormal: small numbers are divided the slow way.
static __device__ __forceinline__ float quotient(float magnitude, Divisor d) {
  if (magnitude < 0x1p-96f && magnitude > 0.0f) {
    return __fdiv_rn(magnitude, d.scale);
  }
  float q = __fmul_rn(magnitude, d.reciprocal);
  q = __fmaf_rn(__fmaf_rn(-q, d.scale, magnitude), d.reciprocal, q);
  return __fmaf_rn(__fmaf_rn(-q, d.scale, magnitude), d.reciprocal, q);
}

// The number is finite.
static __device__ __forceinline__ uint32_t encodeE4m3(float x, Divisor d) {
  uint32_t bits = __float_as_uint(x);
  uint32_t a = __float_as_uint(quotient(__uint_as_float(bits & MAGNITUDE), d));
  uint32_t code;
  if (a >= 0x43E00000u) {
    code = 0x7E;
  } else if (a < 0x3C800000u) {
    // The sum's last place is 2^-9, the smallest E4M3.
    code = __float_as_uint(__fadd_rn(__uint_as_float(a), 16384.0f)) - 0x46800000u;
  } else {
    code = ((a + 0x7FFFFu + ((a >> 20) & 1u)) >> 20) - 960u;
  }
  return code | ((bits & SIGN) >> 24);
}

static __device__ __forceinline__ uint32_t encodeInt8(float x, Divisor d) {
  uint32_t bits = __float_as_uint(x);
  float q = fminf(quotient(__uint_as_float(bits & MAGNITUDE), d), 127.0f);
  int code = __float2int_rn(q);
  return (uint32_t)((bits & SIGN) != 0 ? -code : code) & 0xFFu;
}

template <int TYPE> static __device__ __forceinline__ uint32_t encode(float x, Divisor d) {
  return TYPE == INT8 ? encodeInt8(x, d) : encodeE4m3(x, d);
}

// The twin of smelt.formats.codec.ScaleRule. The magnitude is finite.
template <int TYPE>
static __device__ __forceinline__ float scaleOf(float absmax, bool powersOfTwo) {
  if (absmax == 0.0f) {
    return 1.0f;
  }
  float scale = __fdiv_rn(absmax, TYPE == INT8 ? 127.0f : 448.0f);
  if (powersOfTwo) {
    scale = __uint_as_float((__float_as_uint(scale) + 0x007FFFFFu) & INFINITE);
  }
  return fmaxf(scale, 0x1p-126f);
}

// Codec kernels: equal to the byte with smelt.formats.codec.Transcoder.
//
// A tile is rows x cols codes, one row after the other, and F32 scales for each block of
// fromRows x fromCols codes. What is not finite is reported as (place << 32 | bits of the value);
// the smallest report stays, so it is the first place. The host sets it to all ones beforehand.
#include "numbers.cuh"

#define THREADS 256

typedef unsigned long long Report;

static __device__ __forceinline__ void report(Report* first, uint64_t place, uint32_t bits) {
  atomicMin(first, (Report)(place << 32 | bits));
}

// Where codes and scales of a tile lie.
template <int TYPE> struct Source {
  const void* codes;
  const float* scales;
  uint32_t blockRows;
  uint32_t blockCols;
  uint32_t perRow;
  uint64_t cols;

  __device__ __forceinline__ float scale(uint32_t row, uint32_t col) const {
    return Scaled<TYPE>::value ? scales[(uint64_t)(row / blockRows) * perRow + col / blockCols] : 1.0f;
  }
};

template <int TYPE>
static __device__ __forceinline__ Source<TYPE> source(
    const void* codes, const float* scales, uint32_t blockRows, uint32_t blockCols, uint64_t cols) {
  Source<TYPE> s;
  s.codes = codes;
  s.scales = scales;
  s.blockRows = blockRows;
  s.blockCols = blockCols;
  s.perRow = (uint32_t)((cols + blockCols - 1) / blockCols);
  s.cols = cols;
  return s;
}

template <int BYTES> struct Alignment { static const int value = BYTES > 16 ? 16 : BYTES; };

// As many codes as are loaded or stored at once.
template <typename T, int COUNT> struct alignas(Alignment<sizeof(T) * COUNT>::value) Vector {
  T at[COUNT];
};

template <int TYPE, int COUNT>
static __device__ __forceinline__ void read(
    const Source<TYPE>& s, uint32_t row, uint32_t col, float (&x)[COUNT]) {
  typedef Vector<typename Stored<TYPE>::type, COUNT> Codes;
  const Codes codes = ((const Codes*)s.codes)[(row * s.cols + col) / COUNT];
  float scale = s.scale(row, col);
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    x[i] = decode<TYPE>(codes.at[i], scale);
  }
}

// Goes over a rectangle of vectors, the threads of a block side by side.
struct Walk {
  uint32_t width;
  uint32_t row;
  uint32_t at;
  uint32_t rowStep;
  uint32_t atStep;

  __device__ __forceinline__ explicit Walk(uint32_t vectors)
      : width(vectors),
        row(threadIdx.x / vectors),
        at(threadIdx.x % vectors),
        rowStep(THREADS / vectors),
        atStep(THREADS % vectors) {}

  __device__ __forceinline__ void next() {
    row += rowStep;
    at += atStep;
    if (at >= width) {
      at -= width;
      row++;
    }
  }
};

static __device__ __forceinline__ uint32_t blockMax(uint32_t x) {
  __shared__ uint32_t warps[THREADS / 32];
  for (int lane = 16; lane > 0; lane /= 2) {
    x = max(x, __shfl_xor_sync(0xFFFFFFFFu, x, lane));
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    warps[threadIdx.x / 32] = x;
  }
  __syncthreads();
  x = 0;
  for (int warp = 0; warp < THREADS / 32; warp++) {
    x = max(x, warps[warp]);
  }
  return x;
}

// One block of the target: its largest magnitude, its scale, its codes. It is read twice; the second
// time it is in a cache.
template <int FROM, int TO, int COUNT>
static __device__ void encodeBlock(
    const Source<FROM>& s,
    uint32_t firstRow,
    uint32_t firstCol,
    uint32_t rows,
    uint32_t cols,
    bool powersOfTwo,
    uint8_t* out,
    float* outScale,
    Report* first) {
  uint32_t absmax = 0;
  for (Walk w(cols / COUNT); w.row < rows; w.next()) {
    float x[COUNT];
    read(s, firstRow + w.row, firstCol + w.at * COUNT, x);
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      absmax = max(absmax, __float_as_uint(x[i]) & MAGNITUDE);
    }
  }
  absmax = blockMax(absmax);
  bool finite = absmax < INFINITE;
  float scale = finite ? scaleOf<TO>(__uint_as_float(absmax), powersOfTwo) : 1.0f;
  if (threadIdx.x == 0) {
    *outScale = scale;
  }
  Divisor d = divisor(scale);
  for (Walk w(cols / COUNT); w.row < rows; w.next()) {
    float x[COUNT];
    uint32_t row = firstRow + w.row;
    uint32_t col = firstCol + w.at * COUNT;
    read(s, row, col, x);
    Vector<uint8_t, COUNT> codes;
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      if (!finite && (__float_as_uint(x[i]) & MAGNITUDE) >= INFINITE) {
        report(first, row * s.cols + col + i, __float_as_uint(x[i]));
      }
      codes.at[i] = (uint8_t)encode<TO>(x[i], d);
    }
    ((Vector<uint8_t, COUNT>*)out)[(row * s.cols + col) / COUNT] = codes;
  }
}

// Blocks of the target in turn. Eight codes at once where all rows and blocks begin at a multiple.
template <int FROM, int TO>
static __device__ void encodeTile(
    const Source<FROM>& s,
    uint64_t rows,
    uint32_t toRows,
    uint32_t toCols,
    bool powersOfTwo,
    uint8_t* out,
    float* outScales,
    Report* first) {
  uint32_t perRow = (uint32_t)((s.cols + toCols - 1) / toCols);
  uint64_t blocks = (rows + toRows - 1) / toRows * perRow;
  bool aligned = s.cols % 8 == 0 && toCols % 8 == 0 && (!Scaled<FROM>::value || s.blockCols % 8 == 0);
  for (uint64_t b = blockIdx.x; b < blocks; b += gridDim.x) {
    uint32_t row = (uint32_t)(b / perRow) * toRows;
    uint32_t col = (uint32_t)(b % perRow) * toCols;
    uint32_t height = min(toRows, (uint32_t)rows - row);
    uint32_t width = min(toCols, (uint32_t)s.cols - col);
    if (aligned) {
      encodeBlock<FROM, TO, 8>(s, row, col, height, width, powersOfTwo, out, outScales + b, first);
    } else {
      encodeBlock<FROM, TO, 1>(s, row, col, height, width, powersOfTwo, out, outScales + b, first);
    }
  }
}

template <int TO, int COUNT>
static __device__ __forceinline__ void store(
    void* out, uint64_t index, const float (&x)[COUNT]) {
  typedef Vector<typename Stored<TO>::type, COUNT> Numbers;
  Numbers numbers;
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    numbers.at[i] =
        (typename Stored<TO>::type)(TO == F32 ? __float_as_uint(x[i]) : encodeBf16(x[i]));
  }
  ((Numbers*)out)[index / COUNT] = numbers;
}

template <int FROM, int TO, int COUNT>
static __device__ void decodeRows(
    const Source<FROM>& s, uint64_t rows, void* out, Report* first) {
  uint32_t limit = TO == F32 ? INFINITE : INFINITE_AS_BF16;
  uint32_t vectors = (uint32_t)(s.cols / COUNT);
  uint64_t all = rows * vectors;
  for (uint64_t v = blockIdx.x * (uint64_t)THREADS + threadIdx.x; v < all;
       v += (uint64_t)gridDim.x * THREADS) {
    uint32_t row = (uint32_t)(v / vectors);
    uint32_t col = (uint32_t)(v - (uint64_t)row * vectors) * COUNT;
    float x[COUNT];
    read(s, row, col, x);
    store<TO>(out, row * s.cols + col, x);
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      if ((__float_as_uint(x[i]) & MAGNITUDE) >= limit) {
        report(first, row * s.cols + col + i, __float_as_uint(x[i]));
      }
    }
  }
}

template <int FROM, int TO>
static __device__ __forceinline__ void decodeTile(
    const Source<FROM>& s, uint64_t rows, void* out, Report* first) {
  if (s.cols % 8 == 0 && (!Scaled<FROM>::value || s.blockCols % 8 == 0)) {
    decodeRows<FROM, TO, 8>(s, rows, out, first);
  } else {
    decodeRows<FROM, TO, 1>(s, rows, out, first);
  }
}

#define DECODE(NAME, FROM, TO)                                                                 \
  extern "C" __global__ void __launch_bounds__(THREADS) NAME(                                  \
      const void* codes, const float* scales, uint32_t fromRows, uint32_t fromCols,            \
      uint64_t rows, uint64_t cols, void* out, Report* first) {                                \
    decodeTile<FROM, TO>(source<FROM>(codes, scales, fromRows, fromCols, cols), rows, out, first); \
  }

#define ENCODE(NAME, FROM, TO)                                                                 \
  extern "C" __global__ void __launch_bounds__(THREADS) NAME(                                  \
      const void* codes, const float* scales, uint32_t fromRows, uint32_t fromCols,            \
      uint64_t rows, uint64_t cols, uint32_t toRows, uint32_t toCols, uint32_t powersOfTwo,    \
      uint8_t* out, float* outScales, Report* first) {                                         \
    encodeTile<FROM, TO>(source<FROM>(codes, scales, fromRows, fromCols, cols), rows, toRows,  \
        toCols, powersOfTwo != 0, out, outScales, first);                                      \
  }

#define FROM_TYPE(NAME, FROM)             \
  DECODE(NAME##_to_bf16, FROM, BF16)      \
  DECODE(NAME##_to_f32, FROM, F32)        \
  ENCODE(NAME##_to_e4m3, FROM, E4M3)      \
  ENCODE(NAME##_to_int8, FROM, INT8)

FROM_TYPE(bf16, BF16)
FROM_TYPE(f16, F16)
FROM_TYPE(f32, F32)
FROM_TYPE(e4m3, E4M3)
FROM_TYPE(e5m2, E5M2)
FROM_TYPE(int8, INT8)

template <int TYPE>
static __device__ __forceinline__ void readScales(
    const void* in, uint64_t count, float* out, Report* first) {
  for (uint64_t i = blockIdx.x * (uint64_t)THREADS + threadIdx.x; i < count;
       i += (uint64_t)gridDim.x * THREADS) {
    float scale = decode<TYPE>(((const typename Stored<TYPE>::type*)in)[i], 1.0f);
    out[i] = scale;
    if (!(scale > 0.0f && __float_as_uint(scale) < INFINITE)) {
      report(first, i, __float_as_uint(scale));
    }
  }
}

// Stored scales as F32; those that are not positive and finite are reported.
extern "C" __global__ void __launch_bounds__(THREADS) scales_bf16(
    const void* in, uint64_t count, float* out, Report* first) {
  readScales<BF16>(in, count, out, first);
}

extern "C" __global__ void __launch_bounds__(THREADS) scales_f16(
    const void* in, uint64_t count, float* out, Report* first) {
  readScales<F16>(in, count, out, first);
}

extern "C" __global__ void __launch_bounds__(THREADS) scales_f32(
    const void* in, uint64_t count, float* out, Report* first) {
  readScales<F32>(in, count, out, first);
}

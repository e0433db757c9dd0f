// Math kernels: within bounds that their tests derive. All matrices lie row after row. Every sum has
// one order, whatever the grid: the same input gives the same bits on the same kind of device.
#include "tensor.cuh"

#define THREADS 256

// A weight, rows x depth: codes, and F32 scales for each block of blockRows x blockCols.
template <int TYPE> struct Weight {
  const void* codes;
  const float* scales;
  uint32_t blockRows;
  uint32_t blockCols;
  uint32_t perRow;
  uint32_t rows;
  uint32_t depth;

  __device__ __forceinline__ float scale(uint32_t row, uint32_t col) const {
    return Scaled<TYPE>::value ? scales[(uint64_t)(row / blockRows) * perRow + col / blockCols] : 1.0f;
  }

  __device__ __forceinline__ float at(uint32_t row, uint32_t col) const {
    uint64_t index = (uint64_t)row * depth + col;
    return decode<TYPE>(((const typename Stored<TYPE>::type*)codes)[index], scale(row, col));
  }
};

template <int TYPE>
static __device__ __forceinline__ Weight<TYPE> weight(
    const void* codes, const float* scales, uint32_t blockRows, uint32_t blockCols, uint32_t rows,
    uint32_t depth) {
  Weight<TYPE> w;
  w.codes = codes;
  w.scales = scales;
  w.blockRows = blockRows;
  w.blockCols = blockCols;
  w.perRow = (depth + blockCols - 1) / blockCols;
  w.rows = rows;
  w.depth = depth;
  return w;
}

#define SIDE 16

// out = x * wT, tokens x rows: one chain of fused multiply-adds in the order of the columns.
template <int TYPE>
static __device__ __forceinline__ void productPlain(
    const float* x, const Weight<TYPE>& w, float* out, uint32_t tokens) {
  __shared__ float xs[SIDE][SIDE + 1];
  __shared__ float ws[SIDE][SIDE + 1];
  uint32_t tx = threadIdx.x % SIDE;
  uint32_t ty = threadIdx.x / SIDE;
  uint32_t token = blockIdx.y * SIDE + ty;
  uint32_t row = blockIdx.x * SIDE + tx;
  uint32_t loaded = blockIdx.x * SIDE + ty;
  float sum = 0.0f;
  for (uint32_t k = 0; k < w.depth; k += SIDE) {
    uint32_t col = k + tx;
    xs[ty][tx] = token < tokens && col < w.depth ? x[(uint64_t)token * w.depth + col] : 0.0f;
    ws[ty][tx] = loaded < w.rows && col < w.depth ? w.at(loaded, col) : 0.0f;
    __syncthreads();
    uint32_t count = min((uint32_t)SIDE, w.depth - k);
    for (uint32_t i = 0; i < count; i++) {
      sum = __fmaf_rn(xs[ty][i], ws[tx][i], sum);
    }
    __syncthreads();
  }
  if (token < tokens && row < w.rows) {
    out[(uint64_t)token * w.rows + row] = sum;
  }
}

// A block of threads computes TILE tokens x TILE rows, DEPTH columns at a time; a warp 64 x 32 of that.
#define TILE 128
#define DEPTH 32
// Numbers from row to row in shared memory: eight rows then lie in all banks.
#define STRIDE 40

struct alignas(16) Chunk {
  uint32_t at[4];
};

static __device__ __forceinline__ Chunk zeros() {
  Chunk chunk;
  chunk.at[0] = chunk.at[1] = chunk.at[2] = chunk.at[3] = 0;
  return chunk;
}

// A thread's part of a tile of 16-bit numbers: two chunks of eight.
static __device__ __forceinline__ void fetch(
    Chunk (&chunks)[2], const uint16_t* from, uint32_t first, uint32_t end, uint32_t k, uint32_t depth) {
#pragma unroll
  for (int j = 0; j < 2; j++) {
    uint32_t i = threadIdx.x + j * THREADS;
    uint32_t row = first + i / 4;
    uint32_t col = k + i % 4 * 8;
    bool inside = row < end && col < depth;
    chunks[j] = inside ? *(const Chunk*)(from + (uint64_t)row * depth + col) : zeros();
  }
}

static __device__ __forceinline__ void keep(const Chunk (&chunks)[2], uint16_t* tile) {
#pragma unroll
  for (int j = 0; j < 2; j++) {
    uint32_t i = threadIdx.x + j * THREADS;
    *(Chunk*)(tile + i / 4 * STRIDE + i % 4 * 8) = chunks[j];
  }
}

// A thread's part of a tile of weights, from memory to shared memory as BF16.
template <int TYPE> struct Staged {
  Chunk codes;

  __device__ __forceinline__ void fetchWeight(const Weight<TYPE>& w, uint32_t first, uint32_t k) {
    uint32_t row = first + threadIdx.x / 2;
    uint32_t col = k + threadIdx.x % 2 * 16;
    bool inside = row < w.rows && col < w.depth;
    const uint8_t* from = (const uint8_t*)w.codes + (uint64_t)row * w.depth + col;
    codes = inside ? *(const Chunk*)from : zeros();
  }

  __device__ __forceinline__ void keepWeight(uint16_t* tile) const {
    Chunk* to = (Chunk*)(tile + threadIdx.x / 2 * STRIDE + threadIdx.x % 2 * 16);
    Chunk low;
    Chunk high;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      low.at[2 * i] = pair<TYPE>(__byte_perm(codes.at[i], 0, 0x4140));
      low.at[2 * i + 1] = pair<TYPE>(__byte_perm(codes.at[i], 0, 0x4342));
      high.at[2 * i] = pair<TYPE>(__byte_perm(codes.at[i + 2], 0, 0x4140));
      high.at[2 * i + 1] = pair<TYPE>(__byte_perm(codes.at[i + 2], 0, 0x4342));
    }
    to[0] = low;
    to[1] = high;
  }
};

template <> struct Staged<BF16> {
  Chunk chunks[2];

  __device__ __forceinline__ void fetchWeight(const Weight<BF16>& w, uint32_t first, uint32_t k) {
    fetch(chunks, (const uint16_t*)w.codes, first, w.rows, k, w.depth);
  }

  __device__ __forceinline__ void keepWeight(uint16_t* tile) const { keep(chunks, tile); }
};

// Multiplies the tiles in shared memory.
static __device__ __forceinline__ void multiplyTiles(
    float (&sums)[4][4][4], const uint16_t* xs, const uint16_t* ws) {
  uint32_t lane = threadIdx.x % 32;
  uint32_t warp = threadIdx.x / 32;
  const uint16_t* x = xs + (warp % 2 * 64 + lane % 16) * STRIDE + lane / 16 * 8;
  const uint16_t* w = ws + (warp / 2 * 32 + lane / 16 * 8 + lane % 8) * STRIDE + lane / 8 % 2 * 8;
#pragma unroll
  for (int k = 0; k < DEPTH; k += 16) {
    uint32_t a[4][4];
    uint32_t b[2][4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      loadMatrices(a[i], x + i * 16 * STRIDE + k);
    }
#pragma unroll
    for (int j = 0; j < 2; j++) {
      loadMatrices(b[j], w + j * 16 * STRIDE + k);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        multiplyAdd(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
      }
    }
  }
}

// total += scale * sums, and sums = 0: at the end of each block of columns.
template <int TYPE>
static __device__ __forceinline__ void flush(
    float (&total)[4][4][4], float (&sums)[4][4][4], const Weight<TYPE>& w, uint32_t first,
    uint32_t col) {
  uint32_t base = first + threadIdx.x / 64 * 32 + threadIdx.x % 4 * 2;
#pragma unroll
  for (int j = 0; j < 4; j++) {
    float scales[2];
#pragma unroll
    for (int c = 0; c < 2; c++) {
      uint32_t row = base + j * 8 + c;
      scales[c] = row < w.rows ? w.scale(row, col) : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int c = 0; c < 4; c++) {
        total[i][j][c] = __fmaf_rn(scales[c % 2], sums[i][j][c], total[i][j][c]);
        sums[i][j][c] = 0.0f;
      }
    }
  }
}

// out = x * wT on tensor cores. Codes are exact as BF16; their scales multiply the F32 sum of a block
// of columns. The depth is a multiple of 16; blocks of columns are multiples of DEPTH, or one.
template <int TYPE>
static __device__ __forceinline__ void productTensor(
    const uint16_t* x, const Weight<TYPE>& w, float* out, uint32_t tokens) {
  __shared__ __align__(16) uint16_t xs[2][TILE * STRIDE];
  __shared__ __align__(16) uint16_t ws[2][TILE * STRIDE];
  uint32_t token = blockIdx.y * TILE;
  uint32_t row = blockIdx.x * TILE;
  float sums[4][4][4] = {};
  float total[4][4][4] = {};
  Chunk staged[2];
  Staged<TYPE> weights;
  fetch(staged, x, token, tokens, 0, w.depth);
  weights.fetchWeight(w, row, 0);
  keep(staged, xs[0]);
  weights.keepWeight(ws[0]);
  __syncthreads();
  int now = 0;
  for (uint32_t k = 0; k < w.depth; k += DEPTH) {
    uint32_t next = k + DEPTH;
    if (next < w.depth) {
      fetch(staged, x, token, tokens, next, w.depth);
      weights.fetchWeight(w, row, next);
    }
    multiplyTiles(sums, xs[now], ws[now]);
    if (Scaled<TYPE>::value && (next >= w.depth || next % w.blockCols == 0)) {
      flush(total, sums, w, row, k);
    }
    now ^= 1;
    if (next < w.depth) {
      keep(staged, xs[now]);
      weights.keepWeight(ws[now]);
    }
    __syncthreads();
  }
  uint32_t lane = threadIdx.x % 32;
  uint32_t warp = threadIdx.x / 32;
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
      for (int c = 0; c < 4; c++) {
        uint32_t t = token + warp % 2 * 64 + i * 16 + lane / 4 + c / 2 * 8;
        uint32_t r = row + warp / 2 * 32 + j * 8 + lane % 4 * 2 + c % 2;
        if (t < tokens && r < w.rows) {
          out[(uint64_t)t * w.rows + r] = Scaled<TYPE>::value ? total[i][j][c] : sums[i][j][c];
        }
      }
    }
  }
}

#define PLAIN(NAME, TYPE)                                                                       \
  extern "C" __global__ void __launch_bounds__(THREADS) NAME##_product_plain(                   \
      const float* x, const void* codes, const float* scales, uint32_t blockRows,               \
      uint32_t blockCols, uint32_t rows, uint32_t depth, float* out, uint32_t tokens) {         \
    productPlain(x, weight<TYPE>(codes, scales, blockRows, blockCols, rows, depth), out, tokens); \
  }

// BLOCKS blocks of threads share a processor: with one, a thread may have all the registers there are.
#define TENSOR(NAME, TYPE, BLOCKS)                                                              \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) NAME##_product(                 \
      const uint16_t* x, const void* codes, const float* scales, uint32_t blockRows,            \
      uint32_t blockCols, uint32_t rows, uint32_t depth, float* out, uint32_t tokens) {         \
    productTensor(x, weight<TYPE>(codes, scales, blockRows, blockCols, rows, depth), out, tokens); \
  }

PLAIN(f32, F32)
PLAIN(bf16, BF16)
PLAIN(e4m3, E4M3)
PLAIN(int8, INT8)
TENSOR(bf16, BF16, 2)
TENSOR(e4m3, E4M3, 1)
TENSOR(int8, INT8, 1)

extern "C" __global__ void __launch_bounds__(THREADS) round_to_bf16(
    const float* x, uint16_t* out, uint64_t count) {
  for (uint64_t i = blockIdx.x * (uint64_t)THREADS + threadIdx.x; i < count;
       i += (uint64_t)gridDim.x * THREADS) {
    out[i] = (uint16_t)encodeBf16(x[i]);
  }
}

// The sum of what all threads of a block have, in one order.
static __device__ __forceinline__ double blockSum(double x) {
  __shared__ double warps[THREADS / 32];
  for (int lane = 16; lane > 0; lane /= 2) {
    x += __shfl_xor_sync(0xFFFFFFFFu, x, lane);
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    warps[threadIdx.x / 32] = x;
  }
  __syncthreads();
  x = 0.0;
  for (int warp = 0; warp < THREADS / 32; warp++) {
    x += warps[warp];
  }
  return x;
}

static __device__ __forceinline__ float blockLargest(float x) {
  __shared__ float warps[THREADS / 32];
  for (int lane = 16; lane > 0; lane /= 2) {
    x = fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, lane));
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    warps[threadIdx.x / 32] = x;
  }
  __syncthreads();
  x = warps[0];
  for (int warp = 1; warp < THREADS / 32; warp++) {
    x = fmaxf(x, warps[warp]);
  }
  return x;
}

// out = x / sqrt(mean(x * x) + eps) * weight, row by row; the mean in F64.
extern "C" __global__ void __launch_bounds__(THREADS) rms_norm(
    const float* x, const float* weight, double eps, float* out, uint64_t rows, uint32_t cols) {
  for (uint64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float* from = x + row * cols;
    double squares = 0.0;
    for (uint32_t i = threadIdx.x; i < cols; i += THREADS) {
      squares += (double)from[i] * (double)from[i];
    }
    float factor = (float)(1.0 / sqrt(blockSum(squares) / cols + eps));
    for (uint32_t i = threadIdx.x; i < cols; i += THREADS) {
      out[row * cols + i] = __fmul_rn(__fmul_rn(from[i], factor), weight[i]);
    }
  }
}

// x = exp(x - max(x)) / sum(exp(x - max(x))), row by row, in place.
extern "C" __global__ void __launch_bounds__(THREADS) softmax_rows(
    float* x, uint64_t rows, uint32_t cols) {
  for (uint64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    float* at = x + row * cols;
    float largest = -INFINITY;
    for (uint32_t i = threadIdx.x; i < cols; i += THREADS) {
      largest = fmaxf(largest, at[i]);
    }
    largest = blockLargest(largest);
    double sum = 0.0;
    for (uint32_t i = threadIdx.x; i < cols; i += THREADS) {
      float e = expf(__fadd_rn(at[i], -largest));
      at[i] = e;
      sum += e;
    }
    float divisor = (float)blockSum(sum);
    for (uint32_t i = threadIdx.x; i < cols; i += THREADS) {
      at[i] = __fdiv_rn(at[i], divisor);
    }
  }
}

#define MOST_EXPERTS 1024

// A value and its place: the larger is better, of equals the one at the lower place.
struct Ranked {
  float value;
  int32_t place;
};

static __device__ __forceinline__ Ranked better(Ranked a, Ranked b) {
  return b.value > a.value || (b.value == a.value && b.place < a.place) ? b : a;
}

// The best of `count` values.
static __device__ __forceinline__ Ranked blockBest(const float* values, uint32_t count) {
  __shared__ float best[THREADS / 32];
  __shared__ int32_t places[THREADS / 32];
  Ranked x = {-INFINITY, 0x7FFFFFFF};
  for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
    x = better(x, {values[i], (int32_t)i});
  }
  for (int lane = 16; lane > 0; lane /= 2) {
    float value = __shfl_xor_sync(0xFFFFFFFFu, x.value, lane);
    int32_t place = __shfl_xor_sync(0xFFFFFFFFu, x.place, lane);
    x = better(x, {value, place});
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    best[threadIdx.x / 32] = x.value;
    places[threadIdx.x / 32] = x.place;
  }
  __syncthreads();
  x = {best[0], places[0]};
  for (int warp = 1; warp < THREADS / 32; warp++) {
    x = better(x, {best[warp], places[warp]});
  }
  return x;
}

// Moves the places of the best `wanted` values to `into`, the best first; their values become
// -infinity. There are at least so many that are greater.
static __device__ __forceinline__ void takeBest(
    float* values, uint32_t count, uint32_t wanted, int32_t* into) {
  for (uint32_t rank = 0; rank < wanted; rank++) {
    Ranked found = blockBest(values, count);
    __syncthreads();
    if (threadIdx.x == 0) {
      into[rank] = found.place < (int32_t)count ? found.place : 0;
      values[into[rank]] = -INFINITY;
    }
    __syncthreads();
  }
}

// The experts of each token, the best first, and their weights. Scores are sigmoids or the softmax of
// the logits, in F64; for the choice alone the bias is added to sigmoids. Where groups are limited, a
// group is as good as its best score, or as the sum of the two best biased ones.
extern "C" __global__ void __launch_bounds__(THREADS) route_tokens(
    const float* logits, const float* bias, uint32_t experts, uint32_t chosen, uint32_t groups,
    uint32_t kept, uint32_t sigmoid, uint32_t renormalised, double factor, int32_t* out,
    float* weights, uint64_t rows) {
  __shared__ float scores[MOST_EXPERTS];
  __shared__ float ranked[MOST_EXPERTS];
  __shared__ float groupScores[MOST_EXPERTS];
  __shared__ int32_t places[MOST_EXPERTS];
  uint32_t size = experts / groups;
  for (uint64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float* at = logits + row * experts;
    float largest = -INFINITY;
    for (uint32_t i = threadIdx.x; i < experts; i += THREADS) {
      largest = fmaxf(largest, at[i]);
    }
    largest = blockLargest(largest);
    double sum = 0.0;
    for (uint32_t i = threadIdx.x; i < experts; i += THREADS) {
      sum += exp((double)__fadd_rn(at[i], -largest));
    }
    sum = blockSum(sum);
    for (uint32_t i = threadIdx.x; i < experts; i += THREADS) {
      scores[i] = sigmoid ? (float)(1.0 / (1.0 + exp(-(double)at[i])))
                          : (float)(exp((double)__fadd_rn(at[i], -largest)) / sum);
      ranked[i] = sigmoid ? __fadd_rn(scores[i], bias[i]) : scores[i];
    }
    __syncthreads();
    if (kept < groups) {
      for (uint32_t g = threadIdx.x; g < groups; g += THREADS) {
        float first = -INFINITY;
        float second = -INFINITY;
        for (uint32_t i = g * size; i < (g + 1) * size; i++) {
          second = fmaxf(second, fminf(first, ranked[i]));
          first = fmaxf(first, ranked[i]);
        }
        groupScores[g] = sigmoid && size > 1 ? __fadd_rn(first, second) : first;
      }
      __syncthreads();
      takeBest(groupScores, groups, kept, places);
      for (uint32_t i = threadIdx.x; i < experts; i += THREADS) {
        bool eligible = false;
        for (uint32_t k = 0; k < kept; k++) {
          eligible |= places[k] == (int32_t)(i / size);
        }
        ranked[i] = eligible ? ranked[i] : -INFINITY;
      }
      __syncthreads();
    }
    takeBest(ranked, experts, chosen, places);
    if (threadIdx.x == 0) {
      float total = 0.0f;
      for (uint32_t k = 0; k < chosen; k++) {
        total = __fadd_rn(total, scores[places[k]]);
      }
      for (uint32_t k = 0; k < chosen; k++) {
        float score = scores[places[k]];
        float share = renormalised ? __fdiv_rn(score, __fadd_rn(total, 1e-20f)) : score;
        out[row * chosen + k] = places[k];
        weights[row * chosen + k] = (float)((double)share * factor);
      }
    }
    __syncthreads();
  }
}

// out = gate / (1 + exp(-gate)) * up; out may be gate.
extern "C" __global__ void __launch_bounds__(THREADS) silu_multiply(
    const float* gate, const float* up, float* out, uint64_t count) {
  for (uint64_t i = blockIdx.x * (uint64_t)THREADS + threadIdx.x; i < count;
       i += (uint64_t)gridDim.x * THREADS) {
    float g = gate[i];
    out[i] = __fmul_rn(__fdiv_rn(g, __fadd_rn(1.0f, expf(-g))), up[i]);
  }
}

// Of each column: absmax = max(absmax, |x|), and squares += x * x in F64 in the order of the rows.
extern "C" __global__ void __launch_bounds__(THREADS) observe_columns(
    const float* x, uint32_t rows, uint32_t cols, float* absmax, double* squares) {
  uint32_t col = blockIdx.x * THREADS + threadIdx.x;
  if (col < cols) {
    float largest = absmax[col];
    double sum = squares[col];
    for (uint32_t row = 0; row < rows; row++) {
      float value = x[(uint64_t)row * cols + col];
      largest = fmaxf(largest, fabsf(value));
      sum += (double)value * (double)value;
    }
    absmax[col] = largest;
    squares[col] = sum;
  }
}

#define HESSIAN 64
#define RUN 8

// hessian += xT * x, cols x cols in F64: F32 sums of up to `run` rows, in their order, added in turn. A
// block of threads computes 64 x 64 numbers on or above the diagonal, and writes them on both sides.
extern "C" __global__ void __launch_bounds__(THREADS) add_hessian(
    const float* x, uint32_t rows, uint32_t cols, uint32_t run, double* hessian) {
  __shared__ float left[RUN][HESSIAN];
  __shared__ float top[RUN][HESSIAN];
  if (blockIdx.x < blockIdx.y) {
    return;
  }
  uint32_t firstRow = blockIdx.y * HESSIAN;
  uint32_t firstCol = blockIdx.x * HESSIAN;
  uint32_t ty = threadIdx.x / 16 * 4;
  uint32_t tx = threadIdx.x % 16 * 4;
  double total[4][4] = {};
  float sums[4][4] = {};
  for (uint32_t t = 0; t < rows; t += RUN) {
    for (uint32_t i = threadIdx.x; i < RUN * HESSIAN; i += THREADS) {
      uint32_t r = i / HESSIAN;
      uint32_t c = i % HESSIAN;
      const float* from = x + (uint64_t)(t + r) * cols;
      bool there = t + r < rows;
      left[r][c] = there && firstRow + c < cols ? from[firstRow + c] : 0.0f;
      top[r][c] = there && firstCol + c < cols ? from[firstCol + c] : 0.0f;
    }
    __syncthreads();
    for (int r = 0; r < RUN; r++) {
      for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
          sums[i][j] = __fmaf_rn(left[r][ty + i], top[r][tx + j], sums[i][j]);
        }
      }
    }
    if ((t + RUN) % run == 0 || t + RUN >= rows) {
      for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
          total[i][j] += sums[i][j];
          sums[i][j] = 0.0f;
        }
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; i++) {
    for (int j = 0; j < 4; j++) {
      uint32_t row = firstRow + ty + i;
      uint32_t col = firstCol + tx + j;
      if (row < cols && col < cols && row <= col) {
        double sum = hessian[(uint64_t)row * cols + col] + total[i][j];
        hessian[(uint64_t)row * cols + col] = sum;
        hessian[(uint64_t)col * cols + row] = sum;
      }
    }
  }
}

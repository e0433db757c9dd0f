// What kernels need to run on a processor: the words of CUDA's C++, and the threads of a block as
// fibers that take turns. A block's threads meet at barriers as they do on a GPU; a block in which
// some threads wait for others that never come ends the process with a message.
#pragma once

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
// One block runs at a time, so what its threads share is static.
#define __shared__ static

using std::max;
using std::min;

struct Dim {
  unsigned x, y, z;
};

static Dim threadIdx, blockIdx, blockDim, gridDim;

namespace fibers {

enum State { READY, AT_BLOCK, AT_WARP, DONE };

struct Fiber {
  ucontext_t start;
  jmp_buf at;
  bool started = false;
  State state = DONE;
  Dim index;
  uint64_t posted[2][8];
  int parity = 0;
};

static const size_t STACK = 128 << 10;
static std::vector<Fiber*> all;
static Fiber* current;
static jmp_buf scheduler;
static const std::function<void()>* body;

static void loop() {
  for (;;) {
    (*body)();
    current->state = DONE;
    if (_setjmp(current->at) == 0) _longjmp(scheduler, 1);
  }
}

static void wait(State state) {
  Fiber* self = current;
  self->state = state;
  if (_setjmp(self->at) == 0) _longjmp(scheduler, 1);
  threadIdx = self->index;
}

static void resume(Fiber* fiber) {
  current = fiber;
  threadIdx = fiber->index;
  if (_setjmp(scheduler) == 0) {
    if (fiber->started) _longjmp(fiber->at, 1);
    fiber->started = true;
    setcontext(&fiber->start);
  }
}

static void grow(unsigned count) {
  while (all.size() < count) {
    Fiber* fiber = new Fiber;
    getcontext(&fiber->start);
    fiber->start.uc_stack.ss_sp = malloc(STACK);
    fiber->start.uc_stack.ss_size = STACK;
    fiber->start.uc_link = nullptr;
    makecontext(&fiber->start, loop, 0);
    all.push_back(fiber);
  }
}

static bool release(unsigned first, unsigned end, State barrier) {
  bool any = false;
  for (unsigned i = first; i < end; i++) {
    if (all[i]->state != barrier && all[i]->state != DONE) return false;
    any |= all[i]->state == barrier;
  }
  for (unsigned i = first; i < end; i++) {
    if (all[i]->state == barrier) all[i]->state = READY;
  }
  return any;
}

static void block(unsigned threads) {
  for (unsigned i = 0; i < threads; i++) {
    Fiber* fiber = all[i];
    fiber->state = READY;
    fiber->parity = 0;
    fiber->index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
  }
  for (;;) {
    bool ran = false;
    for (unsigned i = 0; i < threads; i++) {
      if (all[i]->state == READY) {
        ran = true;
        resume(all[i]);
      }
    }
    bool released = false;
    for (unsigned i = 0; i < threads; i += 32) released |= release(i, min(threads, i + 32), AT_WARP);
    if (!released) released = release(0, threads, AT_BLOCK);
    if (!released && !ran) break;
  }
  for (unsigned i = 0; i < threads; i++) {
    if (all[i]->state != DONE) {
      fprintf(stderr, "a block's threads wait for each other in vain\n");
      abort();
    }
  }
}

static void launch(Dim grid, Dim threads, const std::function<void()>& kernel) {
  body = &kernel;
  gridDim = grid;
  blockDim = threads;
  unsigned count = threads.x * threads.y * threads.z;
  grow(count);
  for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) block(count);
}

static unsigned self() {
  return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}

// Shows what this thread has to its warp, and waits until all have shown.
static int post(const uint64_t* words, int count) {
  Fiber* fiber = all[self()];
  int parity = fiber->parity;
  fiber->parity ^= 1;
  memcpy(fiber->posted[parity], words, count * sizeof(uint64_t));
  wait(AT_WARP);
  return parity;
}

static const uint64_t* shown(int parity, unsigned lane) {
  return all[self() / 32 * 32 + lane]->posted[parity];
}

}  // namespace fibers

static inline void __syncthreads() { fibers::wait(fibers::AT_BLOCK); }
static inline void __syncwarp() { fibers::wait(fibers::AT_WARP); }

template <typename T> static inline T __shfl_xor_sync(unsigned, T x, int mask) {
  uint64_t word = 0;
  memcpy(&word, &x, sizeof x);
  int parity = fibers::post(&word, 1);
  T other;
  memcpy(&other, fibers::shown(parity, (fibers::self() % 32) ^ mask), sizeof x);
  return other;
}

static inline float __uint_as_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}
static inline uint32_t __float_as_uint(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}
// Built with -ffp-contract=off: each of these is rounded once.
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __frcp_rn(float a) { return 1.0f / a; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __int2float_rn(int a) { return (float)a; }
static inline int __float2int_rn(float a) { return (int)nearbyintf(a); }

static inline unsigned long long atomicMin(unsigned long long* at, unsigned long long x) {
  unsigned long long old = *at;
  *at = min(old, x);
  return old;
}

// The operations of tensor.cuh, as the instruction set describes them.

static inline uint32_t __byte_perm(uint32_t x, uint32_t y, uint32_t selector) {
  uint64_t bytes = (uint64_t)y << 32 | x;
  uint32_t out = 0;
  for (int i = 0; i < 4; i++) {
    out |= (uint32_t)(bytes >> (selector >> 4 * i & 7) * 8 & 0xFF) << 8 * i;
  }
  return out;
}

static inline float bf16(uint32_t code) { return __uint_as_float(code << 16); }

static inline uint32_t fusedPair(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t out = 0;
  for (int half = 0; half < 32; half += 16) {
    double exact = (double)bf16(a >> half & 0xFFFF) * bf16(b >> half & 0xFFFF) + bf16(c >> half & 0xFFFF);
    uint32_t bits = __float_as_uint((float)exact);
    out |= (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << half;
  }
  return out;
}

static inline void loadMatrices(uint32_t (&out)[4], const uint16_t* row) {
  uint64_t address = (uint64_t)row;
  if (address % 16 != 0) {
    fprintf(stderr, "a row of a matrix that is not aligned\n");
    abort();
  }
  int parity = fibers::post(&address, 1);
  unsigned lane = fibers::self() % 32;
  for (int i = 0; i < 4; i++) {
    memcpy(&out[i], (const uint32_t*)*fibers::shown(parity, 8 * i + lane / 4) + lane % 4, 4);
  }
}

static inline void multiplyAdd(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  uint64_t mine[3] = {(uint64_t)a[1] << 32 | a[0], (uint64_t)a[3] << 32 | a[2], (uint64_t)b1 << 32 | b0};
  int parity = fibers::post(mine, 3);
  unsigned lane = fibers::self() % 32;
  for (unsigned c = 0; c < 4; c++) {
    unsigned row = lane / 4 + c / 2 * 8;
    unsigned col = lane % 4 * 2 + c % 2;
    for (unsigned k = 0; k < 16; k++) {
      const uint64_t* left = fibers::shown(parity, row % 8 * 4 + k % 8 / 2);
      const uint64_t* right = fibers::shown(parity, col * 4 + k % 8 / 2);
      uint32_t x = (uint32_t)(left[k / 8] >> (row / 8 * 32 + k % 2 * 16)) & 0xFFFF;
      uint32_t y = (uint32_t)(right[2] >> (k / 8 * 32 + k % 2 * 16)) & 0xFFFF;
      sum[c] += bf16(x) * bf16(y);
    }
  }
}

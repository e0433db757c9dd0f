// A stand-in for NVIDIA's driver library: device memory is host memory, kernels run on the
// processor. Work of a stream is done as late as it may be, when somebody waits for it: who reuses
// memory too early, or reads a result too early, gets wrong numbers. Counts what is open.
//
// The names and codes are those of cuda.h. The file is included after threads.h and the kernels.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

namespace fake {

enum {
  SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_IMAGE = 200,
  NO_BINARY = 209, INVALID_HANDLE = 400, NOT_FOUND = 500, LAUNCH_FAILED = 719
};

typedef std::function<void()> Work;
typedef std::function<Work(void**)> Binder;

struct Stream {
  std::deque<Work> waiting;
  bool draining = false;
};

struct Event {
  std::chrono::steady_clock::time_point at;
  Stream* on = nullptr;
};

struct Block {
  size_t bytes;
};

static const size_t GUARD = 256;
static std::recursive_mutex lock;
static std::map<std::string, long> settings;
static std::map<std::string, long> counts;
static std::map<uint64_t, Block> memory;
static std::map<void*, size_t> pinned;
static std::map<Stream*, int> streams;

static Stream zero;

#define ENTER std::lock_guard<std::recursive_mutex> entered(fake::lock)

template <typename... A, size_t... I>
static Work bound(void (*kernel)(A...), void** p, std::index_sequence<I...>) {
  std::tuple<A...> arguments(*(A*)p[I]...);
  return [=] { std::apply(kernel, arguments); };
}

template <typename... A> static Binder binder(void (*kernel)(A...)) {
  return [=](void** p) { return bound(kernel, p, std::index_sequence_for<A...>()); };
}

static std::map<std::string, Binder>& kernels();

static void drain(Stream* stream) {
  if (stream->draining) return;
  stream->draining = true;
  while (!stream->waiting.empty()) {
    Work work = stream->waiting.front();
    stream->waiting.pop_front();
    work();
  }
  stream->draining = false;
}

static void drainAll() {
  drain(&zero);
  for (auto& s : streams) drain(s.first);
}

static void add(Stream* stream, Work work) {
  (stream == nullptr ? &zero : stream)->waiting.push_back(work);
}

// Whether device memory from `at` on has that many bytes.
static bool fits(uint64_t at, size_t bytes) {
  auto block = memory.upper_bound(at);
  if (block == memory.begin()) return false;
  --block;
  return at + bytes <= block->first + block->second.bytes;
}

static long setting(const char* name, long otherwise) {
  auto found = settings.find(name);
  return found == settings.end() ? otherwise : found->second;
}

static bool injected(const char* name) {
  auto found = settings.find(name);
  return found != settings.end() && found->second > 0 && --found->second == 0;
}

static long total() { return setting("memory", 1L << 30); }

}  // namespace fake

#define API extern "C" __attribute__((visibility("default")))

API void fake_set(const char* name, long value) {
  ENTER;
  fake::settings[name] = value;
}

API void fake_reset() {
  ENTER;
  fake::settings.clear();
}

API long fake_count(const char* name) {
  ENTER;
  return fake::counts[name];
}

// What happened, told at the end of a process that asks for it.
__attribute__((destructor)) static void fake_tell() {
  const char* path = getenv("FAKE_DRIVER_COUNTS");
  FILE* file = path == nullptr ? nullptr : fopen(path, "w");
  if (file != nullptr) {
    fprintf(file, "%ld", (long)fake::counts["launches"]);
    fclose(file);
  }
}

API int cuInit(unsigned) {
  ENTER;
  return fake::setting("devices", 1) == 0 ? fake::NO_DEVICE : (int)fake::setting("init", 0);
}
API int cuDriverGetVersion(int* version) {
  ENTER;
  *version = (int)fake::setting("driver", 13000);
  return 0;
}
API int cuDeviceGetCount(int* count) {
  ENTER;
  *count = (int)fake::setting("devices", 1);
  return 0;
}
API int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return 0;
}
API int cuDeviceGetName(char* name, int length, int) {
  snprintf(name, length, "Stand-in");
  return 0;
}
API int cuDeviceTotalMem_v2(size_t* bytes, int) {
  ENTER;
  *bytes = fake::total();
  return 0;
}
// Multiprocessors, and the two parts of the compute capability.
API int cuDeviceGetAttribute(int* value, int attribute, int) {
  ENTER;
  *value = attribute == 16 ? 2
      : attribute == 75 ? (int)fake::setting("capability", 90) / 10
      : attribute == 76 ? (int)fake::setting("capability", 90) % 10
      : 0;
  return 0;
}
API int cuDevicePrimaryCtxRetain(void** context, int) {
  ENTER;
  fake::counts["contexts"]++;
  *context = &fake::zero;
  return 0;
}
API int cuDevicePrimaryCtxRelease_v2(int) {
  ENTER;
  fake::counts["contexts"]--;
  return 0;
}
API int cuCtxSynchronize() {
  ENTER;
  fake::drainAll();
  return 0;
}
API int cuCtxSetCurrent(void*) { return 0; }
API int cuMemGetInfo_v2(size_t* free, size_t* all) {
  ENTER;
  *all = fake::total();
  *free = fake::total() - fake::counts["bytes"];
  return 0;
}
API int cuMemAlloc_v2(uint64_t* at, size_t bytes) {
  ENTER;
  if (bytes == 0) return fake::INVALID_VALUE;
  if (fake::injected("failAlloc")) return fake::OUT_OF_MEMORY;
  if (fake::counts["bytes"] + (long)bytes > fake::total()) return fake::OUT_OF_MEMORY;
  char* block = (char*)aligned_alloc(256, (bytes + 255) / 256 * 256 + 2 * fake::GUARD);
  memset(block, 0xA5, (bytes + 255) / 256 * 256 + 2 * fake::GUARD);
  *at = (uint64_t)block + fake::GUARD;
  fake::memory[*at] = {bytes};
  fake::counts["blocks"]++;
  fake::counts["bytes"] += bytes;
  return 0;
}
API int cuMemFree_v2(uint64_t at) {
  ENTER;
  auto block = fake::memory.find(at);
  if (block == fake::memory.end()) return fake::INVALID_VALUE;
  fake::drainAll();
  size_t bytes = block->second.bytes;
  unsigned char* data = (unsigned char*)at;
  for (size_t i = 0; i < fake::GUARD; i++) {
    if (data[bytes + i] != 0xA5 || data[-1 - (long)i] != 0xA5) {
      fake::counts["overruns"]++;
      break;
    }
  }
  free(data - fake::GUARD);
  fake::memory.erase(block);
  fake::counts["blocks"]--;
  fake::counts["bytes"] -= bytes;
  return 0;
}
API int cuMemHostRegister_v2(void* at, size_t bytes, unsigned) {
  ENTER;
  if (fake::injected("failRegister")) return fake::OUT_OF_MEMORY;
  if (fake::pinned.count(at)) return 712;
  fake::pinned[at] = bytes;
  fake::counts["pinned"]++;
  return 0;
}
API int cuMemHostUnregister(void* at) {
  ENTER;
  if (!fake::pinned.erase(at)) return 713;
  fake::drainAll();
  fake::counts["pinned"]--;
  return 0;
}
API int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
  ENTER;
  if (!fake::fits(to, bytes)) return fake::INVALID_VALUE;
  fake::counts["copied"] += bytes;
  fake::add((fake::Stream*)stream, [=] { memcpy((void*)to, from, bytes); });
  return 0;
}
API int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
  ENTER;
  if (!fake::fits(from, bytes)) return fake::INVALID_VALUE;
  fake::counts["copied"] += bytes;
  fake::add((fake::Stream*)stream, [=] { memcpy(to, (void*)from, bytes); });
  return 0;
}
API int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
  ENTER;
  if (!fake::fits(from, bytes) || !fake::fits(to, bytes)) return fake::INVALID_VALUE;
  fake::add((fake::Stream*)stream, [=] { memcpy((void*)to, (void*)from, bytes); });
  return 0;
}
API int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* stream) {
  ENTER;
  if (!fake::fits(to, bytes)) return fake::INVALID_VALUE;
  fake::add((fake::Stream*)stream, [=] { memset((void*)to, value, bytes); });
  return 0;
}
API int cuStreamCreate(void** stream, unsigned) {
  ENTER;
  fake::Stream* made = new fake::Stream;
  fake::streams[made] = 1;
  *stream = made;
  fake::counts["streams"]++;
  return 0;
}
API int cuStreamDestroy_v2(void* stream) {
  ENTER;
  fake::drain((fake::Stream*)stream);
  fake::streams.erase((fake::Stream*)stream);
  delete (fake::Stream*)stream;
  fake::counts["streams"]--;
  return 0;
}
API int cuStreamSynchronize(void* stream) {
  ENTER;
  fake::drain(stream == nullptr ? &fake::zero : (fake::Stream*)stream);
  return fake::injected("failLaunch") ? fake::LAUNCH_FAILED : 0;
}
API int cuEventCreate(void** event, unsigned) {
  ENTER;
  *event = new fake::Event;
  fake::counts["events"]++;
  return 0;
}
API int cuEventDestroy_v2(void* event) {
  ENTER;
  fake::drainAll();
  delete (fake::Event*)event;
  fake::counts["events"]--;
  return 0;
}
API int cuEventRecord(void* event, void* stream) {
  ENTER;
  fake::Event* e = (fake::Event*)event;
  e->on = stream == nullptr ? &fake::zero : (fake::Stream*)stream;
  fake::add((fake::Stream*)stream, [=] { e->at = std::chrono::steady_clock::now(); });
  return 0;
}
API int cuEventSynchronize(void* event) {
  ENTER;
  fake::drain(((fake::Event*)event)->on);
  return 0;
}
API int cuStreamWaitEvent(void* stream, void* event, unsigned) {
  ENTER;
  fake::Event* e = (fake::Event*)event;
  fake::add((fake::Stream*)stream, [=] {
    if (e->on != nullptr && fake::streams.count(e->on)) fake::drain(e->on);
  });
  return 0;
}
API int cuEventElapsedTime(float* millis, void* start, void* end) {
  ENTER;
  *millis = std::chrono::duration<float, std::milli>(
      ((fake::Event*)end)->at - ((fake::Event*)start)->at).count();
  return 0;
}
// The kernels are those that this library was built from; the image must at least be one.
API int cuModuleLoadData(void** module, const void* image) {
  ENTER;
  if (fake::setting("noBinary", 0)) return fake::NO_BINARY;
  if (*(const uint32_t*)image != 0xBA55ED50u) return fake::INVALID_IMAGE;
  *module = new int(0);
  fake::counts["modules"]++;
  return 0;
}
API int cuModuleUnload(void* module) {
  ENTER;
  delete (int*)module;
  fake::counts["modules"]--;
  return 0;
}
API int cuModuleGetFunction(void** function, void*, const char* name) {
  ENTER;
  auto found = fake::kernels().find(name);
  if (found == fake::kernels().end()) return fake::NOT_FOUND;
  *function = &found->second;
  return 0;
}
API int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
    unsigned by, unsigned bz, unsigned, void* stream, void** parameters, void**) {
  ENTER;
  if (gx == 0 || gy == 0 || gz == 0 || bx * by * bz == 0 || bx * by * bz > 1024) {
    return fake::INVALID_VALUE;
  }
  fake::counts["launches"]++;
  fake::Work work = (*(fake::Binder*)function)(parameters);
  fake::add((fake::Stream*)stream, [=] { fibers::launch({gx, gy, gz}, {bx, by, bz}, work); });
  return 0;
}

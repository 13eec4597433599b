// Lets g++ compile the .cu files unchanged and run their kernels without a GPU. The threads of a block are fibers that
// switch at each __syncthreads(): missing barriers, and barriers that not every thread reaches, are detected.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // one block runs at a time

using std::max;
using std::min;

struct Dim {
    unsigned x = 1, y = 1, z = 1;
};

inline Dim gridDim, blockDim, blockIdx, threadIdx;

namespace host {

constexpr std::size_t STACK = 64 * 1024;

struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(STACK);
    bool done = false;
};

inline ucontext_t scheduler;
inline Fiber* running = nullptr;
inline std::function<void()> kernel;

inline void run_thread() {
    kernel();
    running->done = true;
}

inline void start(Fiber& fiber) {
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, run_thread, 0);
}

// Runs one block; returns false if some threads ended while others waited at a barrier.
inline bool run_block(std::vector<Fiber>& fibers, bool backwards) {
    for (Fiber& fiber : fibers) start(fiber);
    const std::size_t count = fibers.size();
    for (;;) {
        std::size_t waiting = 0;
        for (std::size_t turn = 0; turn < count; ++turn) {
            const std::size_t thread = backwards ? count - 1 - turn : turn;
            threadIdx = Dim{unsigned(thread % blockDim.x), unsigned(thread / blockDim.x % blockDim.y),
                            unsigned(thread / blockDim.x / blockDim.y)};
            running = &fibers[thread];
            swapcontext(&scheduler, &running->context);
            waiting += !running->done;
        }
        if (waiting == 0) return true;
        if (waiting != count) return false;
    }
}

// Runs a whole grid. `backwards` runs the threads of a block in reverse order: the result must be the same.
inline bool launch(Dim grid, Dim block, bool backwards, std::function<void()> body) {
    gridDim = grid;
    blockDim = block;
    kernel = std::move(body);
    std::vector<Fiber> fibers(std::size_t(block.x) * block.y * block.z);
    for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x)
                if (!run_block(fibers, backwards)) return false;
    return true;
}

}  // namespace host

template <typename Value>
Value __ldg(const Value* address) {
    return *address;
}

inline unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

// Four of the eight bytes of low and high, chosen by the four low nibbles of `selector`.
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
    unsigned chosen = 0;
    for (int i = 0; i < 4; ++i) chosen |= unsigned(both >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
    return chosen;
}

// The two halves of `pair` times the two low (or high) bytes of `bytes`, added to `sum`.
inline unsigned __dp2a_lo(unsigned pair, unsigned bytes, unsigned sum) {
    return sum + (pair & 65535) * (bytes & 255) + (pair >> 16) * (bytes >> 8 & 255);
}

inline unsigned __dp2a_hi(unsigned pair, unsigned bytes, unsigned sum) { return __dp2a_lo(pair, bytes >> 16, sum); }

inline void __syncthreads() { swapcontext(&host::running->context, &host::scheduler); }

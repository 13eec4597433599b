// Resizes a batch of images of any size like OpenCV's INTER_AREA, so that inference and training use the same resize.
//
// Reading the source dominates the run time, so it is read sequentially, in words of eight bytes: first the threads of
// a block sum the source rows covered by each destination row into shared memory, then each thread sums the columns
// covered by its own destination bytes. As many destination rows as fit share each step, because barriers are
// expensive; rows too wide for shared memory are processed in chunks.
//
// Row sums are integers: converting bytes to floats would take longer than summing them.
//
// Compiled with --fmad=false (compile.py); fused multiply-adds are written as fmaf. So the GPU and the tests' host
// build compute the same bits, and agreement with OpenCV shown on the host also holds on the device.
//
// Launch: block (THREADS, 1, 1), grid (ceil(out_width / TILE), ceil(out_height / ROWS), images).
constexpr int CHANNELS = 3;
constexpr int TILE = 32;  // destination pixels per block along a row
constexpr int ROWS = 8;   // destination rows per block
constexpr int THREADS = TILE * CHANNELS;
constexpr int BYTES_A_THREAD = 8;
constexpr int BLOCKS = 12;  // per multiprocessor; limits the registers
constexpr int STEP = 8;  // pixels; their bytes are a whole number of words
constexpr int PIXELS = 150 * STEP;  // sums in shared memory, in pixels: ROWS rows of 144 pixels, or 2 of 600, ...
constexpr int WORDS = PIXELS * CHANNELS / BYTES_A_THREAD;
constexpr int AHEAD = 3 * CHANNELS;  // sum_columns may read this far past the last sum of a row
constexpr unsigned WHOLE = 1u << 16;  // approximate sum of the weights of a cell: see Span
constexpr unsigned LARGEST = WHOLE - 1;  // a weight has 16 bits

// uint8 [height, width, 3] in device memory; pitch: bytes from one row to the next. If address and pitch are multiples
// of eight, rows are read in whole words, up to seven bytes past their end. Must match staging.IMAGE.
struct Image {
    const unsigned char* pixels;
    long long pitch;
    int width, height;
};

// The source cells first..last that one destination cell covers along one axis, and their weights; tail is 0 if there
// is only one cell. The weights' proportions are exact, but their sum is not exactly WHOLE: users divide by the sum, so
// that the rounding errors of many equal weights do not accumulate.
struct alignas(16) Span {
    int first, last;
    unsigned head, body, tail;
    float scale;  // 1 / sum of the weights

    __device__ __forceinline__ unsigned between() const { return first < last ? last - first - 1 : 0; }

    // The part of the span inside the cells begin..end - 1; an empty part has weight 0.
    __device__ __forceinline__ Span within(int begin, int end) const {
        const int from = max(first, begin), to = min(last, end - 1);
        const unsigned front = from == first ? head : from == last ? tail : body;
        if (from > to) return Span{begin, begin, 0, 0, 0, scale};
        return Span{from, to, front, body, from == to ? 0 : to == last ? tail : body, scale};
    }
};

__device__ __forceinline__ Span with_scale(Span span) {
    span.scale = 1.0f / static_cast<float>(span.head + span.body * span.between() + span.tail);
    return span;
}

// The source rows of one destination row, in the form that sum_rows needs; pairs of weights are packed for __dp2a.
struct alignas(16) Band {
    const unsigned char *first, *last;
    unsigned ends, body, between;
    float scale;
};

// Shrinking: a source cell's weight is the fraction of it that the destination cell covers. `from` * `to` must stay
// below 2^31 and `from` / `to` below WHOLE.
__device__ __forceinline__ Span area_span(int cell, int from, int to) {
    // Start and end of the destination cell, in units of 1 / to of a source cell.
    const unsigned side = to, begin = cell * from, end = begin + from;
    const unsigned first = begin / side, last = (end - 1) / side;
    const float body = floorf(fminf(WHOLE * static_cast<float>(to) / static_cast<float>(from), LARGEST));
    const float unit = body / static_cast<float>(to);
    const float head = rintf(unit * static_cast<float>((first + 1) * side - begin));
    const float tail = first == last ? 0.0f : rintf(unit * static_cast<float>(end - last * side));
    return Span{static_cast<int>(first), static_cast<int>(last), static_cast<unsigned>(head),
                static_cast<unsigned>(body), static_cast<unsigned>(tail), 0.0f};
}

// Enlarging along either axis: OpenCV's two-tap variant of INTER_AREA. In doubles and in OpenCV's order of operations,
// because its rounding shifts some cells by a whole source pixel (e.g. cell 168 of 36 -> 224) and must be reproduced.
__device__ __forceinline__ Span linear_span(int cell, int from, int to) {
    const double enlargement = static_cast<double>(to) / from;
    int first = static_cast<int>(floor(cell * (1.0 / enlargement)));
    float part = static_cast<float>((cell + 1) - (first + 1) * enlargement);
    part = part <= 0.0f ? 0.0f : part - floorf(part);
    if (first >= from - 1) {
        first = from - 1;
        part = 0.0f;
    }
    const unsigned tail = static_cast<unsigned>(rintf(part * LARGEST));
    return Span{first, tail > 0 ? first + 1 : first, LARGEST - tail, 0, tail, 0.0f};
}

__device__ __forceinline__ Span span_of(int cell, int from, int to, bool shrinks) {
    return with_scale(shrinks ? area_span(cell, from, to) : linear_span(cell, from, to));
}

__device__ __forceinline__ Band band_of(const Image& image, const Span& rows) {
    return Band{image.pixels + rows.first * image.pitch,
                image.pixels + rows.last * image.pitch,
                rows.head | rows.tail << 16,
                rows.body | rows.body << 16,
                rows.between(),
                rows.scale};
}

// How a block iterates over its part of the source: the pixels begin..end - 1 of a row, in chunks of `words` words, for
// `together` destination rows at a time.
struct alignas(16) Plan {
    int begin, end, together;
    unsigned words, inverse;

    // x / words: exact while x * words is below 2^19.
    __device__ __forceinline__ unsigned divide(unsigned x) const { return x * inverse >> 20; }
};

__device__ __forceinline__ Plan plan_of(int first, int last) {
    const int begin = first / STEP * STEP, end = last + 1;
    const unsigned words = (min(end - begin, PIXELS) * CHANNELS + BYTES_A_THREAD - 1u) / BYTES_A_THREAD;
    const unsigned inverse = static_cast<unsigned>(static_cast<float>(1 << 20) / static_cast<float>(words)) + 1;
    return Plan{begin, end, min(static_cast<int>(WORDS / words), ROWS), words, inverse};
}

// Eight bytes of a row, of which the first `count` are used.
template <bool ALIGNED>
__device__ __forceinline__ unsigned long long load(const unsigned char* source, int count) {
    if (ALIGNED) return __ldg(reinterpret_cast<const unsigned long long*>(source));
    unsigned long long word = 0;
    // Not unrolled: unrolling costs every block registers, and few need this path.
#pragma unroll 1
    for (int i = min(count, BYTES_A_THREAD) - 1; i >= 0; --i) word = word << 8 | __ldg(source + i);
    return word;
}

// Adds the bytes of two words to four totals, weighted by the low and the high half of `weights`.
__device__ __forceinline__ void add_four(unsigned* totals, unsigned upper, unsigned lower, unsigned weights) {
    const unsigned left = __byte_perm(upper, lower, 0x5140), right = __byte_perm(upper, lower, 0x7362);
    totals[0] = __dp2a_lo(weights, left, totals[0]);
    totals[1] = __dp2a_hi(weights, left, totals[1]);
    totals[2] = __dp2a_lo(weights, right, totals[2]);
    totals[3] = __dp2a_hi(weights, right, totals[3]);
}

__device__ __forceinline__ void add(unsigned* totals, unsigned long long upper, unsigned long long lower,
                                    unsigned weights) {
    add_four(totals, static_cast<unsigned>(upper), static_cast<unsigned>(lower), weights);
    add_four(totals + 4, static_cast<unsigned>(upper >> 32), static_cast<unsigned>(lower >> 32), weights);
}

struct alignas(16) Sums {
    float values[BYTES_A_THREAD];
};

// The weighted sums over a band of the eight bytes at byte `at` of a row, of which the first `count` are used.
template <bool ALIGNED>
__device__ __forceinline__ Sums sum_rows(const Band& band, long long pitch, int at, int count) {
    // All loads come before the first use, so that their latencies overlap.
    const unsigned char* source = band.first + at;
    const unsigned long long first = load<ALIGNED>(source, count), last = load<ALIGNED>(band.last + at, count);
    unsigned long long odd = 0;
    source += pitch;
    if (band.between % 2 == 1) {
        odd = load<ALIGNED>(source, count);
        source += pitch;
    }
    unsigned totals[BYTES_A_THREAD] = {};
    add(totals, first, last, band.ends);
    add(totals, odd, 0, band.body);
#pragma unroll 2
    for (unsigned pair = band.between / 2; pair > 0; --pair) {
        const unsigned long long upper = load<ALIGNED>(source, count), lower = load<ALIGNED>(source + pitch, count);
        source += 2 * pitch;
        add(totals, upper, lower, band.body);
    }
    Sums sums;
    for (int i = 0; i < BYTES_A_THREAD; ++i) sums.values[i] = static_cast<float>(totals[i]);
    return sums;
}

// Fills `sums` with the plan's words of each of `count` bands, starting at pixel `chunk` of the rows.
template <bool ALIGNED>
__device__ __forceinline__ void sum_bands(const Band* bands, int count, long long pitch, const Plan& plan, int chunk,
                                          float* sums) {
    const int bytes = (plan.end - chunk) * CHANNELS, items = count * plan.words;
    for (int item = threadIdx.x; item < items; item += THREADS) {
        const int band = plan.divide(item), at = (item - band * plan.words) * BYTES_A_THREAD;
        if (at >= bytes) continue;
        reinterpret_cast<Sums*>(sums)[item] =
            sum_rows<ALIGNED>(bands[band], pitch, chunk * CHANNELS + at, bytes - at);
    }
}

// The columns of one destination pixel, in the form that sum_columns needs. The cells between head and tail are taken
// four at a time; the remainder has its own weights, so that the common case of few cells needs no loop.
struct Taps {
    float head, body, tail, left[3];
    int tail_at, fours_at, fours;
};

__device__ __forceinline__ Taps taps_of(const Span& columns) {
    const int between = columns.between(), left = between % 4;
    const float body = columns.body;
    return Taps{static_cast<float>(columns.head),
                body,
                static_cast<float>(columns.tail),
                {left > 0 ? body : 0.0f, left > 1 ? body : 0.0f, left > 2 ? body : 0.0f},
                (columns.last - columns.first) * CHANNELS,
                (1 + left) * CHANNELS,
                between / 4};
}

// The weighted sum of every third element of `sums`. FEW: there are no groups of four.
template <bool FEW>
__device__ __forceinline__ float sum_columns(const Taps& taps, const float* sums) {
    float total = fmaf(taps.tail, sums[taps.tail_at], taps.head * sums[0]);
    for (int i = 0; i < 3; ++i) total = fmaf(taps.left[i], sums[(1 + i) * CHANNELS], total);
    if (FEW) return total;
    float between = 0.0f;
    sums += taps.fours_at;
#pragma unroll 1
    for (int four = taps.fours; four > 0; --four) {
        between += (sums[0] + sums[CHANNELS]) + (sums[2 * CHANNELS] + sums[3 * CHANNELS]);
        sums += 4 * CHANNELS;
    }
    return fmaf(taps.body, between, total);
}

// Rounds to the nearest integer, ties to even like OpenCV's saturate_cast<uchar>, for values from 0 to 255 plus
// rounding error: adding 2^23 leaves a float no fraction bits.
__device__ __forceinline__ unsigned char scale_to_byte(float total, float scale) {
    return static_cast<unsigned char>(__float_as_uint(fmaf(total, scale, 8388608.0f)));
}

// Writes a column of `count` destination bytes, each from the `stride` sums of a band.
template <bool FEW>
__device__ __forceinline__ void write_bytes(const Taps& taps, const Band* bands, int count, float scale, float before,
                                            const float* sums, int stride, unsigned char* target, int pitch) {
#pragma unroll (FEW ? 4 : 1)
    for (int line = 0; line < count; ++line) {
        *target = scale_to_byte(before + sum_columns<FEW>(taps, sums), scale * bands[line].scale);
        target += pitch;
        sums += stride;
    }
}

// images: one descriptor per image; out: uint8 [images, out_height, out_width, 3], same channel order as the sources.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    resize_area(const Image* __restrict__ images, unsigned char* __restrict__ out, int out_width, int out_height) {
    __shared__ Span columns[TILE];
    __shared__ Band bands[ROWS];
    __shared__ Plan plan;
    alignas(16) __shared__ float sums[PIXELS * CHANNELS + AHEAD];
    const Image image = images[blockIdx.z];
    const int thread = threadIdx.x, left = blockIdx.x * TILE, top = blockIdx.y * ROWS;
    const int width = min(TILE, out_width - left), height = min(ROWS, out_height - top), row = thread - TILE;
    const bool shrinks = image.width >= out_width && image.height >= out_height;
    const bool aligned = (reinterpret_cast<size_t>(image.pixels) | image.pitch) % BYTES_A_THREAD == 0;
    if (thread < width) columns[thread] = span_of(left + thread, image.width, out_width, shrinks);
    // In other warps than the columns, so that both are computed concurrently.
    if (row >= 0 && row < height) bands[row] = band_of(image, span_of(top + row, image.height, out_height, shrinks));
    if (thread == THREADS - 1) {
        plan = plan_of(span_of(left, image.width, out_width, shrinks).first,
                       span_of(left + width - 1, image.width, out_width, shrinks).last);
    }
    __syncthreads();

    const int x = thread / CHANNELS, channel = thread % CHANNELS;
    const bool writes = x < width;
    // Then no column has four whole cells between its ends, and one chunk holds all columns.
    const bool few = image.width < 4 * static_cast<long long>(out_width);
    const Span mine = columns[writes ? x : 0];
    const int pitch = out_width * CHANNELS, stride = plan.words * BYTES_A_THREAD;
    unsigned char* target = out + static_cast<size_t>(blockIdx.z * out_height + top) * pitch + left * CHANNELS + thread;
    for (int y = 0; y < height; y += plan.together) {
        const int count = min(plan.together, height - y);
        float total = 0.0f;
        for (int chunk = plan.begin; chunk < plan.end; chunk += PIXELS) {
            if (aligned) {
                sum_bands<true>(bands + y, count, image.pitch, plan, chunk, sums);
            } else {
                sum_bands<false>(bands + y, count, image.pitch, plan, chunk, sums);
            }
            // The extra values that sum_columns reads have weight 0, but must not be NaN.
            if (thread < AHEAD) sums[count * stride + thread] = 0.0f;
            __syncthreads();
            const Span here = few ? mine : mine.within(chunk, chunk + PIXELS);
            const Taps taps = taps_of(here);
            const float* first = sums + (here.first - chunk) * CHANNELS + channel;
            if (chunk + PIXELS < plan.end) {
                total += sum_columns<false>(taps, first);
            } else if (writes && few) {
                write_bytes<true>(taps, bands + y, count, mine.scale, total, first, stride, target, pitch);
            } else if (writes) {
                write_bytes<false>(taps, bands + y, count, mine.scale, total, first, stride, target, pitch);
            }
            __syncthreads();
        }
        target += static_cast<size_t>(plan.together) * pitch;
    }
}

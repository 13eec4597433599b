// Resizes a batch of images of any size as OpenCV's INTER_AREA does, so that the engine sees what training saw.
//
// Reading the source is most of the work, so it is read in order, in words of four bytes: the threads of a block sum
// the source rows that one destination row covers into shared memory, then each sums the columns that its own
// destination byte covers. Sources wider than the shared memory go through it in chunks. A block does several rows,
// because working out the weights takes longer than using them once.
//
// Launch: block (THREADS, 1, 1), grid (ceil(out_width / TILE), ceil(out_height / ROWS), images).
#include "pixel.cuh"

constexpr int TILE = 32;  // destination pixels of a block along a row
constexpr int ROWS = 8;   // destination rows of a block
constexpr int THREADS = TILE * CHANNELS;
constexpr int BYTES_A_THREAD = 4;
constexpr int ROWS_AT_ONCE = 4;
constexpr int CHUNK = THREADS * BYTES_A_THREAD;

// uint8 [height, width, 3] in device memory; pitch is the bytes from one row to the next. Where address and pitch are
// multiples of four, rows are read in whole words, up to three bytes past their end. staging.IMAGE is its twin.
struct Image {
    const unsigned char* pixels;
    long long pitch;
    int width, height;
};

struct alignas(4) Quad {
    unsigned char bytes[BYTES_A_THREAD];
};

// The source cells first..last that one destination cell is made of along one axis, and their weights.
struct Span {
    int first, last;
    float head, body, tail;

    __device__ __forceinline__ float weight(int cell) const {
        return cell == first ? head : cell == last ? tail : body;
    }
};

// Shrinking: every source cell weighs as much as the destination cell covers of it. Exact in integers, where OpenCV
// uses doubles (which many GPUs have at 1/64 of their speed); `from` * `to` has to stay under 2^31.
__device__ __forceinline__ Span area_span(int cell, int from, int to) {
    // Where the destination cell begins and ends, in units of 1 / to of a source cell.
    const int begin = cell * from, end = begin + from;
    const int first = (begin + to - 1) / to, last = end / to;
    const int before = first * to - begin, after = end - last * to;
    const float covered = static_cast<float>(from), whole = static_cast<float>(to) / covered;
    Span span;
    span.first = before > 0 ? first - 1 : first;
    span.last = after > 0 ? last : last - 1;
    span.head = before > 0 ? static_cast<float>(before) / covered : whole;
    span.body = whole;
    span.tail = after > 0 ? static_cast<float>(after) / covered : whole;
    return span;
}

// Enlarging along either axis: OpenCV's two-tap variant for INTER_AREA. In doubles and in OpenCV's order of operations,
// because its rounding moves some cells by a whole source pixel (cell 168 of 36 -> 224, for one) and has to be met.
__device__ __forceinline__ Span linear_span(int cell, int from, int to) {
    const double enlargement = static_cast<double>(to) / from;
    int first = static_cast<int>(floor(cell * (1.0 / enlargement)));
    float part = static_cast<float>((cell + 1) - (first + 1) * enlargement);
    part = part <= 0.0f ? 0.0f : part - floorf(part);
    if (first >= from - 1) {
        first = from - 1;
        part = 0.0f;
    }
    return Span{first, part > 0.0f ? first + 1 : first, 1.0f - part, 0.0f, part};
}

__device__ __forceinline__ Span span_of(int cell, int from, int to, bool shrinks) {
    return shrinks ? area_span(cell, from, to) : linear_span(cell, from, to);
}

template <bool ALIGNED>
__device__ __forceinline__ Quad load(const unsigned char* source, int count) {
    if (ALIGNED) return *reinterpret_cast<const Quad*>(source);
    Quad quad = {};
    for (int i = 0; i < BYTES_A_THREAD; ++i) {
        if (i < count) quad.bytes[i] = source[i];
    }
    return quad;
}

// The weighted sum over `rows` of the four bytes at byte `at` of a row, of which the first `count` are wanted.
template <bool ALIGNED>
__device__ __forceinline__ void sum_rows(const Image& image, const Span& rows, int at, int count, float* sums) {
    float total[BYTES_A_THREAD] = {};
    for (int row = rows.first; row <= rows.last; row += ROWS_AT_ONCE) {
        // All loads before the first use, so that they wait together. A row too many is the last one, at no weight.
        Quad quads[ROWS_AT_ONCE];
        for (int i = 0; i < ROWS_AT_ONCE; ++i) {
            quads[i] = load<ALIGNED>(image.pixels + min(row + i, rows.last) * image.pitch + at, count);
        }
        for (int i = 0; i < ROWS_AT_ONCE; ++i) {
            const float weight = row + i <= rows.last ? rows.weight(row + i) : 0.0f;
            for (int j = 0; j < BYTES_A_THREAD; ++j) {
                total[j] = fmaf(weight, static_cast<float>(quads[i].bytes[j]), total[j]);
            }
        }
    }
    for (int j = 0; j < BYTES_A_THREAD; ++j) sums[j] = total[j];
}

// The weighted sum of `columns` in one channel, as far as they lie in the chunk of the row that begins at byte `begin`.
__device__ __forceinline__ float sum_columns(const Span& columns, int channel, int begin, const float* sums) {
    const int first = max(columns.first, (begin - channel + CHANNELS - 1) / CHANNELS);
    const int last = min(columns.last, (begin - channel + CHUNK - 1) / CHANNELS);
    float total = 0.0f;
    for (int column = first; column <= last; ++column) {
        total = fmaf(columns.weight(column), sums[column * CHANNELS + channel - begin], total);
    }
    return total;
}

// images: one descriptor an image; out: uint8 [images, out_height, out_width, 3], same channel order as the sources.
extern "C" __global__ void __launch_bounds__(THREADS)
    resize_area(const Image* __restrict__ images, unsigned char* __restrict__ out, int out_width, int out_height) {
    __shared__ Span columns[TILE], rows[ROWS];
    __shared__ float sums[CHUNK];
    const Image image = images[blockIdx.z];
    const int thread = threadIdx.x, left = blockIdx.x * TILE, top = blockIdx.y * ROWS;
    const int width = min(TILE, out_width - left), height = min(ROWS, out_height - top);
    const bool shrinks = image.width >= out_width && image.height >= out_height;
    const bool aligned = (reinterpret_cast<size_t>(image.pixels) | image.pitch) % BYTES_A_THREAD == 0;
    if (thread < width) columns[thread] = span_of(left + thread, image.width, out_width, shrinks);
    // In another warp than the columns, so that both are worked out at the same time.
    const int row = thread - TILE;
    if (row >= 0 && row < height) rows[row] = span_of(top + row, image.height, out_height, shrinks);
    __syncthreads();

    // Down to a multiple of four, so that aligned rows are read in whole words.
    const int begin = columns[0].first * CHANNELS / BYTES_A_THREAD * BYTES_A_THREAD;
    const int end = (columns[width - 1].last + 1) * CHANNELS;
    const int x = thread / CHANNELS, channel = thread % CHANNELS, mine = thread * BYTES_A_THREAD;
    for (int y = 0; y < height; ++y) {
        float total = 0.0f;
        for (int chunk = begin; chunk < end; chunk += CHUNK) {
            const int at = chunk + mine;
            if (at < end && aligned) sum_rows<true>(image, rows[y], at, end - at, sums + mine);
            if (at < end && !aligned) sum_rows<false>(image, rows[y], at, end - at, sums + mine);
            __syncthreads();
            if (x < width) total += sum_columns(columns[x], channel, chunk, sums);
            __syncthreads();
        }
        const size_t pixel = (static_cast<size_t>(blockIdx.z) * out_height + top + y) * out_width + left + x;
        if (x < width) out[pixel * CHANNELS + channel] = to_byte(total);
    }
}

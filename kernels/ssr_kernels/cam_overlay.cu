// Draws class activation maps over their images in one pass: neither the enlarged map nor its colors are ever stored.
//
// Equal to OpenCV's resize(INTER_LINEAR), LUT and addWeighted within 1 gray level, but for a map value that lies within
// float rounding of the border between two colors: it may take either (about one in a million; builds of OpenCV differ
// among themselves by as much).
//
// Launch: block (any, any, 1), grid (ceil(widest / block.x), any, images). CUDA takes no more than 65,535 blocks along y, so a
// block does every gridDim.y-th band of rows.
#include "pixel.cuh"

// One image and what to draw over it. image, out: uint8 [height, width, 3], BGR, `pitch` bytes a row; out may be image.
// low, high: the map's values that take the first and the last color. launch_overlay.OVERLAY is its twin.
struct Overlay {
    const unsigned char* image;
    unsigned char* out;
    long long pitch;
    int width, height;
    float low, high;
};

// Where a destination cell lies between two source cells: the lower one and the share of the upper one.
struct Tap {
    int lower, upper;
    float share;
};

// OpenCV's INTER_LINEAR: cell centers at half-integers, edges repeated.
__device__ __forceinline__ Tap tap_of(int cell, int from, int to) {
    const float position = static_cast<float>((2LL * cell + 1) * from - to) / static_cast<float>(2 * to);
    const int lower = static_cast<int>(floorf(position));
    if (lower < 0) return Tap{0, 0, 0.0f};
    if (lower >= from - 1) return Tap{from - 1, from - 1, 0.0f};
    return Tap{lower, lower + 1, position - static_cast<float>(lower)};
}

__device__ __forceinline__ float mix(float from, float to, float share) { return fmaf(to - from, share, from); }

__device__ __forceinline__ float sample(const float* cam, int cam_width, const Tap& column, const Tap& row) {
    const float* upper = cam + row.lower * cam_width;
    const float* lower = cam + row.upper * cam_width;
    return mix(mix(upper[column.lower], upper[column.upper], column.share),
               mix(lower[column.lower], lower[column.upper], column.share), row.share);
}

// cams: float32 [images, cam_height, cam_width]; colors: uint8 [256, 3], BGR; alpha: the color's share, 0 to 1.
extern "C" __global__ void cam_overlay(const Overlay* __restrict__ overlays, const float* __restrict__ cams,
                                       int cam_width, int cam_height, const unsigned char* __restrict__ colors,
                                       float alpha) {
    const Overlay overlay = overlays[blockIdx.z];
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= overlay.width) return;

    const float* cam = cams + static_cast<size_t>(blockIdx.z) * cam_height * cam_width;
    const Tap column = tap_of(x, cam_width, overlay.width);
    const float range = overlay.high - overlay.low;
    const int rows_at_once = gridDim.y * blockDim.y;
    for (int y = blockIdx.y * blockDim.y + threadIdx.y; y < overlay.height; y += rows_at_once) {
        const float value = sample(cam, cam_width, column, tap_of(y, cam_height, overlay.height));
        // A map without contrast has nothing to show: the first color, not a division by zero.
        const float level = range > 0.0f ? (value - overlay.low) * (255.0f / range) : 0.0f;

        const unsigned char* color = colors + to_byte(level) * CHANNELS;
        const long long at = y * overlay.pitch + x * CHANNELS;
        for (int channel = 0; channel < CHANNELS; ++channel) {
            const float pixel = overlay.image[at + channel];
            overlay.out[at + channel] = to_byte(fmaf(pixel, 1.0f - alpha, color[channel] * alpha));
        }
    }
}

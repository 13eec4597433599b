// What both kernels need of a pixel, so that they round exactly alike.
//
// The files are compiled with --fmad=false (compile.py) and fused multiply-adds are written out as fmaf: so a GPU and
// the host build of the tests compute the same bits, and parity shown on the host holds on the device.
#pragma once

constexpr int CHANNELS = 3;

// OpenCV's saturate_cast<uchar>: nearest, ties to even, clamped. A NaN becomes 0.
__device__ __forceinline__ unsigned char to_byte(float value) {
    return static_cast<unsigned char>(fminf(fmaxf(rintf(value), 0.0f), 255.0f));
}

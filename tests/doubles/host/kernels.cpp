// The kernels as C functions on host memory, for ctypes. A run returns false when its barriers diverge.
#include "cuda_on_host.hpp"

#include "cam_overlay.cu"
#include "resize_area.cu"

extern "C" {

bool resize_area_on_host(const Dim* grid, const Dim* block, bool backwards, const Image* images, unsigned char* out,
                         int out_width, int out_height) {
    return host::launch(*grid, *block, backwards, [=] { resize_area(images, out, out_width, out_height); });
}

bool cam_overlay_on_host(const Dim* grid, const Dim* block, bool backwards, const Overlay* overlays, const float* cams,
                         int cam_width, int cam_height, const unsigned char* colors, float alpha) {
    return host::launch(*grid, *block, backwards,
                        [=] { cam_overlay(overlays, cams, cam_width, cam_height, colors, alpha); });
}

// What the Python side repeats and has to agree with.
int tile = TILE, rows = ROWS, threads = THREADS, image_bytes = sizeof(Image), overlay_bytes = sizeof(Overlay);
}

// The kernel as a C function on host memory, for ctypes. Returns false if its barriers diverge.
#include "cuda_on_host.hpp"

#include "resize_area.cu"

extern "C" {

bool resize_area_on_host(const Dim* grid, const Dim* block, bool backwards, const Image* images, unsigned char* out,
                         int out_width, int out_height) {
    return host::launch(*grid, *block, backwards, [=] { resize_area(images, out, out_width, out_height); });
}

// Constants that the Python side must match.
int tile = TILE, rows = ROWS, threads = THREADS, image_bytes = sizeof(Image);
}

// Runs one launch of a kernel that is linked into this program: the launch comes from the standard
// input, the buffers as they are afterwards go to the standard output.
#include "threadgroups.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

using namespace metal::emulator;

extern "C" void emulator_run(Launch*, address, Threadgroup*, byte*, address, unsigned long*);

static void read_exactly(void* to, size_t bytes)
{
    if (fread(to, 1, bytes, stdin) != bytes) {
        abort();
    }
}

int main()
{
    // Threadgroups, threads, bytes of threadgroup memory, and how many buffers; then of each its
    // size and bytes.
    unsigned header[8];
    read_exactly(header, sizeof header);
    static Launch launch;
    size_t sizes[MAX_BUFFERS];
    for (int i = 0; i < 3; ++i) {
        launch.threadgroups[i] = header[i];
        launch.threads[i] = header[3 + i];
    }
    for (unsigned i = 0; i < header[7]; ++i) {
        read_exactly(&sizes[i], sizeof sizes[i]);
        launch.buffers[i] = aligned_alloc(64, (sizes[i] + 63) / 64 * 64 + 64);
        read_exactly(launch.buffers[i], sizes[i]);
    }
    const size_t alignment = STACK * SIMDGROUP;
    const size_t bytes = alignment + MAX_THREADS * STACK;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    const address stacks = (reinterpret_cast<address>(memory) + alignment - 1) / alignment * alignment;
    static Threadgroup group;
    alignas(64) static byte arena[1 << 18];
    emulator_run(&launch, stacks, &group, arena, header[6], nullptr);
    for (unsigned i = 0; i < header[7]; ++i) {
        fwrite(launch.buffers[i], 1, sizes[i], stdout);
    }
    return launch.failure;
}

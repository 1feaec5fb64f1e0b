// Runs one launch of a kernel that is linked into this program: the launch comes from the standard
// input, the buffers as they are afterwards go to the standard output.
//
// There is no C library for aarch64 here, and building one takes longer than all these tests.  So
// this asks Linux itself, and has the few functions that compiled kernels call.
#include "threadgroups.h"

using namespace metal::emulator;

extern "C" void emulator_run(Launch*, address, Threadgroup*, byte*, address, unsigned long*);

// Linux's numbers for aarch64.
enum class Call : long { READ = 63, WRITE = 64, EXIT = 93, MMAP = 222 };
constexpr int FAILED = 99; // beside enum Failure

static long ask(Call call, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0)
{
    register long x8 asm("x8") = static_cast<long>(call);
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc 0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x8) : "memory");
    return x0;
}

[[noreturn]] static void leave(int status)
{
    for (;;) {
        ask(Call::EXIT, status);
    }
}

// Reads or writes so many bytes, however few Linux takes at once.
static void transfer(Call call, long file, void* memory, address bytes)
{
    for (address done = 0; done < bytes;) {
        const long more = ask(call, file, reinterpret_cast<long>(memory) + done, bytes - done);
        if (more <= 0) {
            leave(FAILED);
        }
        done += more;
    }
}

static address allocate(address bytes)
{
    constexpr long readable = 1, writable = 2, own = 2, anonymous = 0x20, unreserved = 0x4000;
    const long memory = ask(Call::MMAP, 0, bytes, readable | writable, own | anonymous | unreserved, -1);
    if (memory < 0) {
        leave(FAILED);
    }
    return memory;
}

extern "C" {

void* memset(void* to, int value, __SIZE_TYPE__ bytes)
{
    for (volatile byte* at = static_cast<byte*>(to); bytes > 0; --bytes) { // volatile: no memset
        *at++ = value;
    }
    return to;
}

float nextafterf(float x, float y)
{
    if (x != x || y != y) {
        return x + y;
    }
    if (x == y) {
        return y;
    }
    if (x == 0.0f) {
        return __builtin_copysignf(__builtin_bit_cast(float, 1), y);
    }
    const bool outwards = (x < y) == (x > 0.0f); // magnitudes are ordered as their bits are
    return __builtin_bit_cast(float, __builtin_bit_cast(int, x) + (outwards ? 1 : -1));
}

// Of the softcap, which no kernel here is asked for.
float tanhf(float) { leave(FAILED); }

// The constructors of static variables, which place threadgroup memory.
extern void (*const __init_array_start[])();
extern void (*const __init_array_end[])();

void _start()
{
    for (auto constructor = __init_array_start; constructor != __init_array_end; ++constructor) {
        (*constructor)();
    }
    // Threadgroups, threads, bytes of threadgroup memory, and how many buffers; then of each its
    // size and bytes.
    unsigned header[8];
    transfer(Call::READ, 0, header, sizeof header);
    static Launch launch;
    address sizes[MAX_BUFFERS];
    for (int i = 0; i < 3; ++i) {
        launch.threadgroups[i] = header[i];
        launch.threads[i] = header[3 + i];
    }
    for (unsigned i = 0; i < header[7]; ++i) {
        transfer(Call::READ, 0, &sizes[i], sizeof sizes[i]);
        launch.buffers[i] = reinterpret_cast<void*>(allocate(sizes[i] + 64));
        transfer(Call::READ, 0, launch.buffers[i], sizes[i]);
    }
    constexpr address alignment = STACK * SIMDGROUP;
    const address memory = allocate(alignment + MAX_THREADS * STACK);
    const address stacks = (memory + alignment - 1) / alignment * alignment;
    static Threadgroup group;
    alignas(64) static byte arena[1 << 18];
    emulator_run(&launch, stacks, &group, arena, header[6], nullptr);
    for (unsigned i = 0; i < header[7]; ++i) {
        transfer(Call::WRITE, 1, launch.buffers[i], sizes[i]);
    }
    leave(launch.failure);
}
}

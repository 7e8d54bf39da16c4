// A driver library with two devices: what specbench's device bandwidth calls. FAKE_ALLOCATIONS: how many succeed.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int contexts, buffers, allocations;
int cuInit(unsigned flags) { return flags != 0; }
int cuDeviceGetCount(int *n) { return *n = 2, 0; }
int cuDeviceGet(int *device, int index) { return *device = 40 + index, index > 1; }
int cuDeviceGetPCIBusId(char *to, int size, int device) { return snprintf(to, size, "0000:0%d:00.0", device - 39) < 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { return *context = (void *)(size_t)device, contexts++, 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { return contexts--, device < 40; }
int cuCtxSetCurrent(void *context) { return (size_t)context < 40; }
int cuMemAlloc_v2(size_t *to, size_t size) {
    const char *most = getenv("FAKE_ALLOCATIONS");
    if (most && allocations >= atoi(most)) return 2;
    return *to = 0xA000000000 + 0x1000000000 * allocations++, buffers++, size != 256 << 20;
}
int cuMemFree_v2(size_t at) { return buffers--, at < 0xA000000000; }
int cuMemcpyDtoD_v2(size_t to, size_t from, size_t size) { return to == from || size != 256 << 20; }
int cuCtxSynchronize(void) { return usleep(1000); }
int still_held(void) { return contexts + buffers; }

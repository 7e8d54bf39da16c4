/* A stand-in for libnvidia-ml.so.1 with the calls that telemetry makes. Written from the public API reference.
 *
 * The file named in $WATCHED_NVML is read at every call: lines CARD.KEY=VALUE, or CARD.KEY=!N to return nvmlReturn_t N.
 * A key that is absent is NOT_SUPPORTED, so nothing is invented. CARD.watts makes the energy counter run at that power.
 * Compiled with -DOLD_DRIVER it lacks the calls that newer drivers brought.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int R;
typedef unsigned long long U64;
typedef struct { int index; } *Card;
enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, TOO_SMALL = 7, VERSION_MISMATCH = 25 };
static struct { int index; } cards[8];

static R look(int card, const char *key, U64 *out) {
    char line[256], wanted[64];
    FILE *file = fopen(getenv("WATCHED_NVML"), "r");
    if (!file) return 9; /* driver not loaded */
    snprintf(wanted, sizeof wanted, "%d.%s=", card, key);
    R found = NOT_SUPPORTED;
    while (found == NOT_SUPPORTED && fgets(line, sizeof line, file)) {
        const char *value = line + strlen(wanted);
        if (strncmp(line, wanted, strlen(wanted))) continue;
        if (*value == '!') { found = atoi(value + 1); break; }
        *out = strtoull(value, NULL, 0);
        found = OK;
    }
    fclose(file);
    return found;
}
static int index_of(Card card) {
    for (int i = 0; i < 8; i++) if ((void *)card == (void *)&cards[i]) return i;
    return -1; /* a handle that was cut to 32 bits */
}
static R read_u64(Card card, const char *key, U64 *out) {
    int i = index_of(card);
    return i < 0 ? INVALID : look(i, key, out);
}
static R read_u32(Card card, const char *key, unsigned *out) {
    U64 wide = 0;
    R r = read_u64(card, key, &wide);
    if (!r) *out = (unsigned)wide;
    return r;
}

R nvmlInitWithFlags(unsigned flags) { U64 code = 0; (void)flags; return look(-1, "init", &code) == NOT_SUPPORTED ? OK : (R)code; }
R nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(R r) { return r == NOT_SUPPORTED ? "Not Supported" : r == 15 ? "GPU is lost" : "an error"; }
R nvmlDeviceGetCount_v2(unsigned *out) {
    U64 count = 0;
    R r = look(-1, "count", &count);
    *out = (unsigned)count;
    return r;
}
R nvmlDeviceGetHandleByIndex_v2(unsigned i, Card *out) {
    U64 unused;
    R r = look((int)i, "handle", &unused);
    *out = (Card)&cards[i];
    return r == NOT_SUPPORTED ? OK : r;
}
R nvmlDeviceGetTotalEnergyConsumption(Card c, U64 *out) {
    U64 watts;
    struct timespec now;
    if (read_u64(c, "watts", &watts)) return read_u64(c, "energy", out);
    clock_gettime(CLOCK_MONOTONIC, &now);
    *out = (U64)((now.tv_sec % 1000 + now.tv_nsec / 1e9) * 1000 * (double)watts);
    return OK;
}
R nvmlDeviceGetPowerUsage(Card c, unsigned *out) { return read_u32(c, "power", out); }
R nvmlDeviceGetEnforcedPowerLimit(Card c, unsigned *out) { return read_u32(c, "limit", out); }
R nvmlDeviceGetPowerManagementDefaultLimit(Card c, unsigned *out) { return read_u32(c, "default_limit", out); }
R nvmlDeviceGetClockInfo(Card c, unsigned kind, unsigned *out) { return read_u32(c, kind == 1 ? "sm" : "mem", out); }
R nvmlDeviceGetMaxClockInfo(Card c, unsigned kind, unsigned *out) { return read_u32(c, kind == 1 ? "sm_max" : "mem_max", out); }
R nvmlDeviceGetTemperature(Card c, unsigned sensor, unsigned *out) { (void)sensor; return read_u32(c, "old_temperature", out); }
R nvmlDeviceGetCurrentClocksThrottleReasons(Card c, U64 *out) { return read_u64(c, "old_throttle", out); }
R nvmlDeviceGetCurrPcieLinkGeneration(Card c, unsigned *out) { return read_u32(c, "pcie_generation", out); }
R nvmlDeviceGetCurrPcieLinkWidth(Card c, unsigned *out) { return read_u32(c, "pcie_width", out); }
R nvmlDeviceGetUtilizationRates(Card c, unsigned *gpu_and_memory) { return read_u32(c, "utilization", gpu_and_memory); }
R nvmlDeviceGetMemoryInfo(Card c, U64 *total_free_used) { return read_u64(c, "old_used", &total_free_used[2]); }
struct process { unsigned pid; U64 bytes; unsigned gpu_instance, compute_instance; };
static R processes(Card c, unsigned *count, struct process *out) {
    unsigned most = *count, n = 0;
    char key[32];
    for (;; n++) {
        U64 pid, bytes = ~0ull;
        snprintf(key, sizeof key, "pid%u", n);
        R r = read_u64(c, key, &pid);
        if (r == NOT_SUPPORTED) break;
        if (r) return r;
        snprintf(key, sizeof key, "bytes%u", n);
        read_u64(c, key, &bytes);
        if (out && n < most) out[n] = (struct process){(unsigned)pid, bytes, 0, 0};
    }
    *count = n;
    return n && (!out || n > most) ? TOO_SMALL : OK;
}
R nvmlDeviceGetComputeRunningProcesses_v2(Card c, unsigned *n, struct process *out) { return processes(c, n, out); }
#ifndef OLD_DRIVER
R nvmlDeviceGetComputeRunningProcesses_v3(Card c, unsigned *n, struct process *out) { return processes(c, n, out); }
R nvmlDeviceGetCurrentClocksEventReasons(Card c, U64 *out) { return read_u64(c, "throttle", out); }
R nvmlDeviceGetTemperatureV(Card c, struct { unsigned version, sensor; int celsius; } *out) {
    return out->version != 0x100000C ? VERSION_MISMATCH : read_u32(c, "temperature", (unsigned *)&out->celsius);
}
R nvmlDeviceGetMemoryInfo_v2(Card c, struct { unsigned version; U64 total, reserved, free, used; } *out) {
    return out->version != 0x02000028 ? VERSION_MISMATCH : read_u64(c, "used", &out->used);
}
#endif

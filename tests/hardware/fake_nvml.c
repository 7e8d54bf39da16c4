/* A libnvidia-ml.so.1 whose answers are data: lines of KEY=VALUE in the file that $FAKE_NVML_RIG names. For tests only.
 *
 *   count=2   0.name=NVIDIA GeForce RTX 3090   0.cc=8.6   p2p.0.1.0=0   init=!9
 *
 * A key that is absent makes the call answer 3, NOT_SUPPORTED; a value !N makes it return N. `0.handle=!15` loses card 0.
 * Written from the public NVML reference; the real nvidia-ml-py is its client, so names and layouts must be right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default"))) int
enum { OK, UNINITIALIZED, INVALID, UNSUPPORTED, TOO_SMALL = 7, LINES = 1024, CARDS = 16 };
typedef struct { int index; } *Card;
typedef unsigned long long U64;

static struct { char key[64], value[192]; } rig[LINES];
static int lines, running;
static struct { int index; } cards[CARDS];

static void load(void) {
    char line[256];
    const char *path = getenv("FAKE_NVML_RIG");
    FILE *file = path ? fopen(path, "r") : NULL;
    for (lines = 0; file && lines < LINES && fgets(line, sizeof line, file);)
        if (line[0] != '#' && sscanf(line, "%63[^=]=%191[^\r\n]", rig[lines].key, rig[lines].value) == 2) lines++;
    if (file) fclose(file);
    for (int i = 0; i < CARDS; i++) cards[i].index = i;
}

static int find(const char *key, const char **value) {
    for (int i = lines - 1; i >= 0; i--)
        if (!strcmp(rig[i].key, key)) {
            *value = rig[i].value;
            return rig[i].value[0] == '!' ? atoi(rig[i].value + 1) : OK;
        }
    return UNSUPPORTED;
}

static int of_card(Card card, const char *what, const char **value) {
    char key[64];
    if (!running) return UNINITIALIZED;
    for (int i = 0; i < CARDS; i++)
        if (card == (Card)&cards[i]) {
            snprintf(key, sizeof key, "%d.%s", i, what);
            return find(key, value);
        }
    return INVALID; /* a handle cut to 32 bits ends here */
}

static int number(Card card, const char *what, U64 *out) {
    const char *value;
    int status = of_card(card, what, &value);
    if (status == OK) *out = strtoull(value, NULL, 0);
    return status;
}

static int narrow(Card card, const char *what, unsigned *out) {
    U64 wide;
    int status = number(card, what, &wide);
    if (status == OK) *out = (unsigned)wide;
    return status;
}

static int copy(int status, const char *value, char *out, unsigned room) {
    if (status == OK && strlen(value) >= room) return TOO_SMALL;
    if (status == OK) strcpy(out, value);
    return status;
}

/* ---- the system ---- */
API nvmlInitWithFlags(unsigned flags) {
    const char *value;
    (void)flags;
    load();
    int status = find("init", &value);
    if (status != OK && status != UNSUPPORTED) return status;
    running++;
    return OK;
}
API nvmlShutdown(void) { return running ? (running--, OK) : UNINITIALIZED; }
API nvmlSystemGetDriverVersion(char *out, unsigned room) {
    const char *value;
    int status = find("driver", &value);
    return copy(status, value, out, room);
}
API nvmlSystemGetCudaDriverVersion_v2(int *out) {
    const char *value;
    int status = find("cuda", &value);
    if (status == OK) *out = atoi(value);
    return status;
}
API nvmlDeviceGetCount_v2(unsigned *out) {
    const char *value;
    int status = find("count", &value);
    if (status == OK) *out = (unsigned)atoi(value);
    return status;
}
API nvmlDeviceGetHandleByIndex_v2(unsigned index, Card *out) {
    const char *value;
    if (index >= CARDS) return INVALID;
    *out = (Card)&cards[index];
    int status = of_card(*out, "handle", &value);
    return status == UNSUPPORTED ? OK : status;
}

/* ---- one card ---- */
#define NUMBER(function, key) \
    API function(Card card, unsigned *out) { return narrow(card, key, out); }
#define CURRENT_AND_PENDING(function, key) \
    API function(Card card, unsigned *current, unsigned *pending) { \
        int status = narrow(card, key, current); \
        if (status == OK) *pending = *current; \
        return status; \
    }
#define NUMBERED(function, key) \
    API function(Card card, unsigned which, unsigned *out) { \
        char name[32]; \
        snprintf(name, sizeof name, key ".%u", which); \
        return narrow(card, name, out); \
    }
NUMBER(nvmlDeviceGetNumGpuCores, "cores")
NUMBER(nvmlDeviceGetMemoryBusWidth, "bus_width")
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_enforced")
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, "power_default")
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_gen")
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_gen_max")
NUMBER(nvmlDeviceGetGpuMaxPcieLinkGeneration, "pcie_gen_card")
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
NUMBER(nvmlDeviceGetPersistenceMode, "persistence")
CURRENT_AND_PENDING(nvmlDeviceGetEccMode, "ecc")
CURRENT_AND_PENDING(nvmlDeviceGetMigMode, "mig")
NUMBERED(nvmlDeviceGetMaxClockInfo, "clock_max") /* 0 graphics, 1 SM, 2 memory */
NUMBERED(nvmlDeviceGetNvLinkState, "nvlink")

API nvmlDeviceGetName(Card card, char *out, unsigned room) {
    const char *value;
    int status = of_card(card, "name", &value);
    return copy(status, value, out, room);
}
API nvmlDeviceGetCudaComputeCapability(Card card, int *major, int *minor) {
    const char *value;
    int status = of_card(card, "cc", &value);
    if (status == OK) sscanf(value, "%d.%d", major, minor);
    return status;
}
struct Memory {
    U64 total, unused, used;
};
API nvmlDeviceGetMemoryInfo(Card card, struct Memory *out) {
    out->unused = out->used = 0;
    return number(card, "memory", &out->total);
}
API nvmlDeviceGetPowerManagementLimitConstraints(Card card, unsigned *low, unsigned *high) {
    int status = narrow(card, "power_min", low);
    return status == OK ? narrow(card, "power_max", high) : status;
}
API nvmlDeviceGetTotalEnergyConsumption(Card card, U64 *out) { return number(card, "energy", out); }
API nvmlDeviceGetMigDeviceHandleByIndex(Card card, unsigned which, Card *out) { /* 0.instance.0=9: card 9's answers */
    char name[32];
    unsigned index;
    snprintf(name, sizeof name, "instance.%u", which);
    int status = narrow(card, name, &index);
    if (status == OK) *out = (Card)&cards[index % CARDS];
    return status;
}
struct Pci {
    char legacy[16];
    unsigned domain, bus, device, ids, subsystem;
    char address[32];
};
API nvmlDeviceGetPciInfo_v3(Card card, struct Pci *out) {
    const char *value;
    memset(out, 0, sizeof *out);
    int status = of_card(card, "pci", &value);
    narrow(card, "ids", &out->ids); /* device << 16 | vendor */
    return copy(status, value, out->address, sizeof out->address);
}

/* ---- two cards, the lower index first ---- */
static int of_pair(Card one, Card other, const char *format, int which, unsigned *out) {
    char key[64];
    const char *value;
    snprintf(key, sizeof key, format, one->index, other->index, which);
    int status = find(key, &value);
    if (status == OK) *out = (unsigned)atoi(value);
    return status;
}
API nvmlDeviceGetTopologyCommonAncestor(Card a, Card b, unsigned *out) { return of_pair(a, b, "topology.%d.%d", 0, out); }
API nvmlDeviceGetP2PStatus(Card a, Card b, int which, unsigned *out) { return of_pair(a, b, "p2p.%d.%d.%d", which, out); }

/* A libamd_smi.so whose answers are data: lines CARD.KEY=VALUE in the file that $FAKE_AMDSMI names. For tests only.
 *
 *   init=34   0.bdf=0000:03:00.0   0.market_name=AMD Instinct MI60 / MI50   0.watts=200   0.pid.0=self   0.vram.0=4096
 *
 * A key that is absent makes the call answer 2, NOT_SUPPORTED; a value !N makes it return N. Layouts: amdsmi.h of
 * ROCm 7.0. The test adds a NOT_SUPPORTED stub for every other symbol that the real Python package binds at import. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default"))) uint32_t
enum { OK = 0, INVALID = 1, UNSUPPORTED = 2, NOT_FOUND = 31, NOT_STARTED = 32, CARDS = 8 };
static int running;
static struct { int index; } cards[CARDS];

static uint32_t look(const char *key, char *value, size_t room) {
    char line[320];
    size_t length = strlen(key);
    FILE *file = fopen(getenv("FAKE_AMDSMI"), "r");
    uint32_t found = UNSUPPORTED;
    while (file && found == UNSUPPORTED && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, key, length) || line[length] != '=') continue;
        const char *text = line + length + 1;
        found = *text == '!' ? (uint32_t)atoi(text + 1) : OK;
        snprintf(value, room, "%s", text);
    }
    if (file) fclose(file);
    return found;
}
static uint32_t of_card(void *card, const char *what, char *value, size_t room) {
    char key[64];
    if (!running) return NOT_STARTED;
    for (int i = 0; i < CARDS; i++)
        if (card == (void *)&cards[i]) {
            snprintf(key, sizeof key, "%d.%s", i, what);
            return look(key, value, room);
        }
    return INVALID; /* a handle cut to 32 bits ends here */
}

API amdsmi_init(uint64_t flags) {
    char text[64];
    uint32_t status = look("init", text, sizeof text);
    running = flags == 2; /* GPUs only */
    return status == UNSUPPORTED ? OK : (uint32_t)atoi(text);
}
API amdsmi_get_processor_handle_from_bdf(uint64_t bdf, void **out) {
    char text[64];
    unsigned domain, bus, device, function;
    for (int i = 0; i < CARDS; i++)
        if (!of_card(&cards[i], "bdf", text, sizeof text) &&
            sscanf(text, "%x:%x:%x.%x", &domain, &bus, &device, &function) == 4 &&
            bdf == (function | device << 3 | bus << 8 | (uint64_t)domain << 16))
            return *out = &cards[i], OK;
    return running ? NOT_FOUND : NOT_STARTED;
}
struct asic {
    char market_name[256];
    uint32_t vendor_id;
    char vendor_name[256];
    uint32_t subvendor_id;
    uint64_t device_id;
    uint32_t revision;
    char serial[256];
    uint32_t oam_id, units;
    uint64_t target;
    uint32_t subsystem_id, reserved[21];
};
API amdsmi_get_gpu_asic_info(void *card, struct asic *out) {
    memset(out, 0, sizeof *out);
    of_card(card, "serial", out->serial, sizeof out->serial);
    return of_card(card, "market_name", out->market_name, sizeof out->market_name);
}
API amdsmi_get_energy_count(void *card, uint64_t *count, float *microjoules, uint64_t *nanoseconds) {
    char text[64];
    struct timespec now;
    *microjoules = 15.259f;
    *nanoseconds = 0;
    uint32_t status = of_card(card, "energy", text, sizeof text);
    if (status != UNSUPPORTED) return *count = strtoull(text, NULL, 0), status;
    if ((status = of_card(card, "watts", text, sizeof text))) return status;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *count = (uint64_t)(((double)(now.tv_sec % 1000 + 1) + (double)now.tv_nsec / 1e9) * atof(text) / 15.259e-6);
    return OK;
}
struct process {
    char name[256];
    uint32_t pid;
    uint64_t memory, graphics, encoder;
    uint32_t reserved[12];
    uint64_t gtt, cpu, vram;
    uint32_t more[10];
    char container[256];
    uint32_t occupancy, evicted, rest[10];
};
API amdsmi_get_gpu_process_list(void *card, uint32_t *count, struct process *out) {
    char key[32], text[64];
    uint32_t status = OK, n = 0;
    for (; n < *count; n++) {
        snprintf(key, sizeof key, "pid.%u", n);
        if ((status = of_card(card, key, text, sizeof text))) break;
        memset(&out[n], 0, sizeof out[n]);
        out[n].pid = strcmp(text, "self") ? (uint32_t)atoi(text) : (uint32_t)getpid();
        snprintf(key, sizeof key, "vram.%u", n);
        if (!of_card(card, key, text, sizeof text)) out[n].vram = strtoull(text, NULL, 0);
    }
    *count = n;
    return status == UNSUPPORTED && n ? OK : status;
}

// The triad of STREAM, a = b + s * c, on all cores: bytes per second of the best of 20 passes, counted as STREAM does.
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

// With huge pages where the system has them, as numpy asks for: without, misses of the TLB are measured too.
static double *array(size_t n) {
    double *memory = aligned_alloc(2u << 20, n * sizeof *memory);
#ifdef MADV_HUGEPAGE
    if (memory) madvise(memory, n * sizeof *memory, MADV_HUGEPAGE);
#endif
    return memory;
}

int main(void) {
    const size_t n = (256u << 20) / sizeof(double);
    double *a = array(n), *b = array(n), *c = array(n), best = 0;
    if (!a || !b || !c) return 1;
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) a[i] = 0, b[i] = 1, c[i] = 2;
    for (int pass = 0; pass <= 20; pass++) {
        const double start = omp_get_wtime();
#pragma omp parallel for
        for (size_t i = 0; i < n; i++) a[i] = b[i] + 3.0 * c[i];
        const double rate = 3.0 * n * sizeof(double) / (omp_get_wtime() - start);
        if (pass && rate > best) best = rate;
    }
    if (a[n / 2] != 7.0) return 2;
    printf("%.0f\n", best);
}
